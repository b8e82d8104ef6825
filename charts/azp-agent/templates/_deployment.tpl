{{/*
A profile as agents that take one job after the other: a Deployment, and the
ScaledObject that says how many. The Deployment has no number of its own, so that
an upgrade leaves KEDA's as it is. Takes root, name and profile.
*/}}
{{- define "azp-agent.deployment" -}}
{{- $labels := dict "root" .root "component" "agent" "name" .name -}}
{{- $rolling := .profile.deployment -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "azp-agent.profileName" . | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- include "azp-agent.labels" $labels | nindent 4 }}
  {{- with include "azp-agent.annotations" (dict "root" .root) }}{{ trim . | nindent 2 }}{{ end }}
spec:
  revisionHistoryLimit: {{ int $rolling.revisionHistoryLimit }}
  minReadySeconds: {{ int $rolling.minReadySeconds }}
  # A new agent may have to wait for the place of one that still has a job.
  progressDeadlineSeconds: {{ add (include "azp-agent.graceSeconds" . | int64) $rolling.minReadySeconds 600 }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: {{ $rolling.maxSurge }}
      maxUnavailable: {{ $rolling.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "azp-agent.selectorLabels" $labels | nindent 6 }}
  template:
    {{- include "azp-agent.pod" . | nindent 4 }}
{{- end -}}

{{- define "azp-agent.scaledObject" -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "azp-agent.profileName" . | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- $labels := include "azp-agent.labels" (dict "root" .root "component" "agent" "name" .name) | fromYaml }}
    {{- merge $labels .profile.labels | toYaml | nindent 4 }}
  {{- with include "azp-agent.annotations" (dict "root" .root "annotations" .profile.annotations) }}{{ trim . | nindent 2 }}{{ end }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "azp-agent.profileName" . | quote }}
  minReplicaCount: {{ int .profile.min }}
  maxReplicaCount: {{ int .profile.max }}
  pollingInterval: {{ .profile.pollingInterval | default 30 | int }}
  cooldownPeriod: {{ int .profile.cooldownPeriod }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- include "azp-agent.behavior" . | nindent 8 }}
  triggers:
    {{- include "azp-agent.trigger" . | nindent 4 }}
{{- end -}}

{{- define "azp-agent.behavior" -}}
{{- $hpa := .profile.hpa -}}
{{- $tolerance := $hpa.tolerance -}}
{{- if eq $tolerance "auto" -}}
{{- $tolerance = ternary "0" "" (semverCompare ">=1.35.0-0" .root.Capabilities.KubeVersion.Version) -}}
{{- end -}}
scaleUp:
  {{- with $tolerance }}
  # Else nothing is done within a tenth: two jobs beside twenty busy agents would wait.
  tolerance: {{ . | quote }}
  {{- end }}
  stabilizationWindowSeconds: {{ int $hpa.scaleUp.stabilizationWindowSeconds }}
  policies:
    {{- toYaml $hpa.scaleUp.policies | nindent 4 }}
scaleDown:
  stabilizationWindowSeconds: {{ int $hpa.scaleDown.stabilizationWindowSeconds }}
  policies:
    {{- toYaml $hpa.scaleDown.policies | nindent 4 }}
{{- end -}}
