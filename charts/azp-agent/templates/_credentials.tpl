{{/*
How agents and the hooks of placeholders sign in: the same for both. A secret
comes as a variable out of a Secret, since azp-agent can hide a variable from jobs
and a file of a Secret it cannot.
*/}}
{{- define "azp-agent.secretName" -}}
{{- printf "%s-credentials" (include "azp-agent.fullname" .) -}}
{{- end -}}

{{/* Variables: the organization, its authorities and the credential. Takes the root. */}}
{{- define "azp-agent.signInEnv" -}}
{{- $given := .Values.credentials -}}
{{- $application := $given.clientSecret -}}
- name: AZP_URL
  value: {{ include "azp-agent.literal" .Values.organization.url }}
{{- if .Values.organization.ca.existingConfigMap }}
- name: AZP_CA
  value: /etc/azp-agent/ca/ca.crt
{{- end }}
{{- if or $given.existingSecret.name $given.token }}
- name: AZP_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ $given.existingSecret.name | default (include "azp-agent.secretName" .) | quote }}
      key: {{ ternary $given.existingSecret.key "token" (not (empty $given.existingSecret.name)) | quote }}
{{- else if $application.clientId }}
- name: AZP_CLIENTID
  value: {{ include "azp-agent.literal" $application.clientId }}
- name: AZP_TENANTID
  value: {{ include "azp-agent.literal" $application.tenantId }}
- name: AZP_CLIENTSECRET
  valueFrom:
    secretKeyRef:
      name: {{ $application.existingSecret.name | default (include "azp-agent.secretName" .) | quote }}
      key: {{ ternary $application.existingSecret.key "clientSecret" (not (empty $application.existingSecret.name)) | quote }}
{{- else if .Values.workloadIdentity.enabled }}
{{- with .Values.workloadIdentity.clientId }}
- name: AZP_CLIENTID
  value: {{ include "azp-agent.literal" . }}
{{- end }}
{{- with .Values.workloadIdentity.tenantId }}
- name: AZP_TENANTID
  value: {{ include "azp-agent.literal" . }}
{{- end }}
{{- with .Values.workloadIdentity.authorityHost }}
- name: AZURE_AUTHORITY_HOST
  value: {{ include "azp-agent.literal" . }}
{{- end }}
{{- if not .Values.workloadIdentity.webhook }}
- name: AZURE_FEDERATED_TOKEN_FILE
  value: /var/run/secrets/azure/tokens/azure-identity-token
{{- end }}
{{- end }}
{{- end -}}

{{- define "azp-agent.signInMounts" -}}
{{- if .Values.organization.ca.existingConfigMap }}
- name: azp-ca
  mountPath: /etc/azp-agent/ca
  readOnly: true
{{- end }}
{{- if and .Values.workloadIdentity.enabled (not .Values.workloadIdentity.webhook) }}
- name: azure-identity-token
  mountPath: /var/run/secrets/azure/tokens
  readOnly: true
{{- end }}
{{- end -}}

{{- define "azp-agent.signInVolumes" -}}
{{- if .Values.organization.ca.existingConfigMap }}
- name: azp-ca
  configMap:
    name: {{ .Values.organization.ca.existingConfigMap | quote }}
    items:
    - key: {{ .Values.organization.ca.key | quote }}
      path: ca.crt
{{- end }}
{{- if and .Values.workloadIdentity.enabled (not .Values.workloadIdentity.webhook) }}
- name: azure-identity-token
  projected:
    sources:
    - serviceAccountToken:
        path: azure-identity-token
        audience: api://AzureADTokenExchange
        expirationSeconds: 3600
{{- end }}
{{- end -}}

{{/* Labels of a pod by which the webhook of workload identity finds it. */}}
{{- define "azp-agent.signInLabels" -}}
{{- if and .Values.workloadIdentity.enabled .Values.workloadIdentity.webhook }}
azure.workload.identity/use: "true"
{{- end }}
{{- end -}}
