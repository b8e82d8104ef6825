{{/*
The pod of an agent, the same in a Deployment and in a ScaledJob but for what
starts and when it starts again. It bears no version of the chart, so that an
upgrade that changes nothing of a profile replaces none of its agents.
Takes root, name and profile.
*/}}
{{- define "azp-agent.pod" -}}
{{- $values := .root.Values -}}
{{- $job := eq .profile.kind "ScaledJob" -}}
metadata:
  labels:
    {{- $labels := include "azp-agent.selectorLabels" (dict "root" .root "component" "agent" "name" .name) | fromYaml }}
    {{- $marks := include "azp-agent.signInLabels" .root | fromYaml }}
    {{- merge $labels $marks .profile.podLabels $values.commonLabels | toYaml | nindent 4 }}
  {{- $annotations := include "azp-agent.podAnnotations" . | fromYaml }}
  {{- with include "azp-agent.annotations" (dict "root" .root "annotations" $annotations) }}{{ trim . | nindent 2 }}{{ end }}
spec:
  {{- if $job }}
  restartPolicy: Never
  {{- end }}
  terminationGracePeriodSeconds: {{ include "azp-agent.graceSeconds" . }}
  serviceAccountName: {{ include "azp-agent.profileAccountName" . | quote }}
  automountServiceAccountToken: {{ ternary "true" "false" (not (empty (include "azp-agent.mountsToken" .))) }}
  enableServiceLinks: false
  {{- with include "azp-agent.pullSecrets" .root }}{{ trim . | nindent 2 }}{{ end }}
  securityContext:
    {{- toYaml $values.podSecurityContext | nindent 4 }}
  {{- with include "azp-agent.placement" . }}{{ trim . | nindent 2 }}{{ end }}
  {{- $init := concat (include "azp-agent.fillContainer" . | fromYamlArray) $values.initContainers .profile.initContainers }}
  {{- with $init }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    {{- include "azp-agent.container" . | nindent 4 }}
    {{- with concat $values.extraContainers .profile.sidecars }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "azp-agent.volumes" . | trim | nindent 4 }}
    {{- with concat $values.extraVolumes .profile.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Marks, the profile's own, and sums of what is read at the start alone. */}}
{{- define "azp-agent.podAnnotations" -}}
{{- $values := .root.Values -}}
kubectl.kubernetes.io/default-container: agent
{{- if .profile.evictionMarks }}
cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
karpenter.sh/do-not-disrupt: "true"
{{- end }}
{{- if or $values.credentials.token $values.credentials.clientSecret.secret }}
{{- /* Cut to what shows a change, since everybody who reads pods reads it. */}}
checksum/credentials: {{ printf "%s/%s/%s%s" .root.Release.Namespace .root.Release.Name $values.credentials.token $values.credentials.clientSecret.secret | sha256sum | trunc 8 | quote }}
{{- end }}
{{- with include "azp-agent.awsConfigText" .root }}
checksum/aws-config: {{ sha256sum . | quote }}
{{- end }}
{{- with .profile.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Which nodes, and how. */}}
{{- define "azp-agent.placement" -}}
{{- $nodes := deepCopy .profile.nodeSelector -}}
{{- if .profile.arch -}}
{{- $_ := set $nodes "kubernetes.io/arch" .profile.arch -}}
{{- end -}}
{{- with .profile.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with .profile.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $nodes }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .profile.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .profile.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .profile.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What the profile's containers of this image may do. */}}
{{- define "azp-agent.securityContext" -}}
{{- mergeOverwrite (deepCopy .root.Values.securityContext) (dict "readOnlyRootFilesystem" (not (empty (include "azp-agent.readOnlyRoot" .)))) | toYaml -}}
{{- end -}}

{{/* Under a read-only root the agent's folder is a volume, which this fills. */}}
{{- define "azp-agent.fillContainer" -}}
{{- if include "azp-agent.readOnlyRoot" . -}}
- name: azp-agent-files
  image: {{ include "azp-agent.image" (dict "root" .root "own" .profile.image) }}
  imagePullPolicy: {{ .profile.image.pullPolicy | default .root.Values.image.pullPolicy }}
  command: [cp, -dR, /azp/., /mnt/]
  securityContext:
    {{- include "azp-agent.securityContext" . | nindent 4 }}
  {{- with .profile.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
  - name: azp
    mountPath: /mnt
{{- end -}}
{{- end -}}

{{- define "azp-agent.volumes" -}}
{{- if include "azp-agent.readOnlyRoot" . }}
- name: azp
  emptyDir: {}
- name: tmp
  emptyDir: {}
{{- end }}
- name: work
  {{- if .profile.work.volumeClaim }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        {{- mergeOverwrite (dict "accessModes" (list "ReadWriteOnce")) .profile.work.volumeClaim | toYaml | nindent 8 }}
  {{- else if or .profile.work.sizeLimit .profile.work.medium }}
  emptyDir:
    {{- with .profile.work.sizeLimit }}
    sizeLimit: {{ . | quote }}
    {{- end }}
    {{- with .profile.work.medium }}
    medium: {{ . }}
    {{- end }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- if not (include "azp-agent.mountsToken" .) }}
- name: namespace
  downwardAPI:
    items:
    - path: namespace
      fieldRef:
        fieldPath: metadata.namespace
{{- end }}
{{- with include "azp-agent.signInVolumes" .root }}{{ trim . | nindent 0 }}{{ end }}
{{- with include "azp-agent.configVolumes" .root }}{{ trim . | nindent 0 }}{{ end }}
{{- end -}}
