{{/*
The two configurations for tools of pipelines: AWS profiles, and registries.
*/}}
{{/* The text of ~/.aws/config that the chart makes; empty where it makes none. */}}
{{- define "azp-agent.awsConfigText" -}}
{{- with .Values.awsConfig.text -}}
{{ trim . }}
{{ end -}}
{{- range $name, $settings := .Values.awsConfig.profiles -}}
[{{ ternary "default" (printf "profile %s" $name) (eq $name "default") }}]
{{ range $key, $value := $settings -}}
{{ $key }} = {{ $value }}
{{ end }}
{{ end -}}
{{- end -}}

{{/* Is there an AWS config to mount? Empty: no. */}}
{{- define "azp-agent.hasAwsConfig" -}}
{{- if or .Values.awsConfig.existing (include "azp-agent.awsConfigText" .) -}}true{{- end -}}
{{- end -}}

{{- define "azp-agent.configVolumes" -}}
{{- $docker := .Values.dockerConfig -}}
{{- if include "azp-agent.hasAwsConfig" . }}
- name: aws-config
  configMap:
    name: {{ .Values.awsConfig.name | quote }}
{{- end }}
{{- if $docker.mountPath }}
- name: docker-config
  {{- if $docker.existingSecret.name }}
  secret:
    secretName: {{ $docker.existingSecret.name | quote }}
    items:
    - key: {{ $docker.existingSecret.key | quote }}
      path: config.json
  {{- else }}
  configMap:
    name: {{ $docker.name | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "azp-agent.configMounts" -}}
{{- if include "azp-agent.hasAwsConfig" . }}
- name: aws-config
  mountPath: /aws_config
  readOnly: true
{{- end }}
{{- if .Values.dockerConfig.mountPath }}
- name: docker-config
  mountPath: {{ .Values.dockerConfig.mountPath }}
  readOnly: true
{{- end }}
{{- end -}}
