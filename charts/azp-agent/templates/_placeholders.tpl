{{/*
Placeholders: agents that are registered and never online, so that a job for a
profile that has no agent now is queued, and not failed at once.
*/}}
{{/* A name that no pod has, in no cluster of another name. Takes root, name and profile. */}}
{{- define "azp-agent.placeholderName" -}}
{{- $parts := list (include "azp-agent.profileName" .) .root.Values.clusterName "placeholder" -}}
{{- $parts | compact | join "-" -}}
{{- end -}}

{{/* The mark of this release's placeholders. Takes the root. */}}
{{- define "azp-agent.placeholderOwner" -}}
{{- list .Values.clusterName .Release.Namespace .Release.Name | compact | join "/" -}}
{{- end -}}

{{/* The file that names them. Takes the root. */}}
{{- define "azp-agent.placeholderFile" -}}
{{- $placeholders := list -}}
{{- range $name, $own := .Values.profiles -}}
{{- $profile := include "azp-agent.profile" (dict "root" $ "own" $own) | fromJson -}}
{{- $context := dict "root" $ "name" $name "profile" $profile -}}
{{- if include "azp-agent.hasPlaceholder" $context -}}
{{- $one := dict "name" (include "azp-agent.placeholderName" $context) "pool" $profile.pool "capabilities" (include "azp-agent.capabilities" $context) -}}
{{- $placeholders = append $placeholders $one -}}
{{- end -}}
{{- end -}}
organization: {{ .Values.organization.url | quote }}
owner: {{ include "azp-agent.placeholderOwner" . | quote }}
placeholders: {{- if $placeholders }}{{ toYaml $placeholders | nindent 0 }}{{ else }} []{{ end }}
{{- end -}}

{{/* Pools in which there may be a placeholder that the file no longer names. */}}
{{- define "azp-agent.otherPools" -}}
{{- $pools := .Values.placeholders.alsoPools -}}
{{- range $own := .Values.profiles -}}
{{- $profile := include "azp-agent.profile" (dict "root" $ "own" $own) | fromJson -}}
{{- $pools = append $pools $profile.pool -}}
{{- end -}}
{{- $pools | uniq | sortAlpha | toYaml -}}
{{- end -}}

{{/* A hook. Takes root, does (apply or remove) and hooks. */}}
{{- define "azp-agent.placeholderJob" -}}
{{- $settings := .root.Values.placeholders -}}
{{- $labels := dict "root" .root "component" "placeholders" -}}
{{- $hook := dict "helm.sh/hook" .hooks "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "azp-agent.fullname" .root }}-placeholders-{{ .does }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- include "azp-agent.labels" $labels | nindent 4 }}
  {{- with include "azp-agent.annotations" (dict "root" .root "annotations" $hook) }}{{ trim . | nindent 2 }}{{ end }}
spec:
  backoffLimit: 1
  # A pod that cannot start, since its Secret is not there, ends helm's waiting too.
  activeDeadlineSeconds: 300
  # What has failed can be read for an hour, and then goes by itself.
  ttlSecondsAfterFinished: 3600
  template:
    metadata:
      labels:
        {{- $selector := include "azp-agent.selectorLabels" $labels | fromYaml }}
        {{- $marks := include "azp-agent.signInLabels" .root | fromYaml }}
        {{- merge $selector $marks .root.Values.commonLabels | toYaml | nindent 8 }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ include "azp-agent.serviceAccountName" .root | quote }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with include "azp-agent.pullSecrets" .root }}{{ trim . | nindent 6 }}{{ end }}
      securityContext:
        {{- toYaml .root.Values.podSecurityContext | nindent 8 }}
      {{- with $settings.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $settings.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $settings.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
      - name: placeholders
        image: {{ include "azp-agent.image" (dict "root" .root "own" dict) }}
        imagePullPolicy: {{ .root.Values.image.pullPolicy }}
        command:
        - /usr/local/bin/azp-agent
        - placeholder
        - {{ .does }}
        - --file
        - /placeholders/placeholders.yaml
        - --within
        - {{ $settings.within }}
        {{- range include "azp-agent.otherPools" .root | fromYamlArray }}
        - --also-pool
        - {{ include "azp-agent.literal" . }}
        {{- end }}
        env:
          {{- include "azp-agent.signInEnv" .root | nindent 10 }}
          {{- with .root.Values.extraEnv }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
        securityContext:
          {{- mergeOverwrite (deepCopy .root.Values.securityContext) (dict "readOnlyRootFilesystem" true) | toYaml | nindent 10 }}
        {{- with $settings.resources }}
        resources:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        volumeMounts:
          - name: placeholders
            mountPath: /placeholders
            readOnly: true
          {{- with include "azp-agent.signInMounts" .root }}{{ trim . | nindent 10 }}{{ end }}
      volumes:
        - name: placeholders
          configMap:
            name: {{ include "azp-agent.fullname" .root }}-placeholders
        {{- with include "azp-agent.signInVolumes" .root }}{{ trim . | nindent 8 }}{{ end }}
{{- end -}}
