{{/*
The trigger of a profile. Every value is text, as KEDA wants it, and what the
agents have is the text that the agents themselves are given.
*/}}
{{- define "azp-agent.scalerAddress" -}}
{{- $scaler := .Values.scaler -}}
{{- $scaler.address | default (printf "%s.%s.svc:%d" $scaler.service $scaler.namespace (int $scaler.port)) -}}
{{- end -}}

{{- define "azp-agent.trigger" -}}
{{- $scaler := .root.Values.scaler -}}
{{- $job := eq .profile.kind "ScaledJob" -}}
- type: {{ ternary "external" $scaler.type $job }}
  metadata:
    scalerAddress: {{ include "azp-agent.scalerAddress" .root | quote }}
    {{- if $scaler.triggerAuthentication.name }}
    enableTLS: "true"
    {{- end }}
    organizationURL: {{ .root.Values.organization.url | quote }}
    poolName: {{ .profile.pool | quote }}
    {{- with include "azp-agent.capabilities" . }}
    capabilities: {{ . | quote }}
    {{- end }}
    {{- with .profile.requires }}
    requires: {{ join ", " . | quote }}
    {{- end }}
    {{- if $job }}
    mode: job
    strategy: {{ .profile.scaledJob.strategy }}
    {{- else }}
    mode: deployment
    {{- end }}
    {{- with int .profile.warmAgents }}
    warmAgents: {{ . | quote }}
    {{- end }}
    {{- with int .profile.priority }}
    priority: {{ . | quote }}
    {{- end }}
    {{- if .profile.directScaleUp }}
    directScaleUp: "true"
    {{- end }}
    {{- if include "azp-agent.hasPlaceholder" . }}
    placeholder: {{ include "azp-agent.placeholderName" . | quote }}
    {{- end }}
    {{- with $scaler.credential }}
    credential: {{ . | quote }}
    {{- end }}
    {{- with $scaler.secret.name }}
    secretName: {{ . | quote }}
    secretKey: {{ $scaler.secret.key | quote }}
    {{- end }}
    targetPipelinesQueueLength: "1"
  {{- with $scaler.triggerAuthentication.name }}
  authenticationRef:
    name: {{ . | quote }}
    kind: {{ $scaler.triggerAuthentication.kind }}
  {{- end }}
{{- end -}}
