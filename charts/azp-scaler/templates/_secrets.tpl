{{/*
Where the token comes from, and under which paths the program finds files. A token
is read before each request, so it is a file and no variable.
*/}}

{{/* The ways to a token that the values name, as a list. Exactly one is right. */}}
{{- define "azp-scaler.ways" -}}
{{- $ways := list -}}
{{- $values := .Values -}}
{{- $tenancy := $values.tenancy -}}
{{- if $values.credentials.existingSecret.name }}{{ $ways = append $ways "credentials.existingSecret" }}{{ end -}}
{{- if $values.credentials.token }}{{ $ways = append $ways "credentials.token" }}{{ end -}}
{{- if $values.workloadIdentity.enabled }}{{ $ways = append $ways "workloadIdentity.enabled" }}{{ end -}}
{{- if or $tenancy.credentials $tenancy.ownTokens.namespaces }}{{ $ways = append $ways "tenancy" }}{{ end -}}
{{- if $tenancy.existingConfigMap.name }}{{ $ways = append $ways "tenancy.existingConfigMap" }}{{ end -}}
{{- if $tenancy.existingSecret.name }}{{ $ways = append $ways "tenancy.existingSecret" }}{{ end -}}
{{- toJson $ways -}}
{{- end }}

{{- define "azp-scaler.way" -}}
{{- include "azp-scaler.ways" . | fromJsonArray | first -}}
{{- end }}

{{/* The Secret of a personal access token, and its key: `NAME KEY`; empty where there is none. */}}
{{- define "azp-scaler.tokenSecret" -}}
{{- $given := .Values.credentials.existingSecret -}}
{{- if $given.name -}}
{{ $given.name }} {{ $given.key }}
{{- else if .Values.credentials.token -}}
{{ include "azp-scaler.fullname" . }} token
{{- end -}}
{{- end }}

{{- define "azp-scaler.hookSecret" -}}
{{- $given := .Values.hook.existingSecret -}}
{{- if $given.name -}}
{{ $given.name }} {{ $given.key }}
{{- else if .Values.hook.secret -}}
{{ include "azp-scaler.fullname" . }} hook-secret
{{- end -}}
{{- end }}

{{/* Does the pod need a token of this cluster for Entra ID? */}}
{{- define "azp-scaler.identity" -}}
{{- $needed := or .Values.workloadIdentity.enabled .Values.workloadIdentity.forTenancy -}}
{{- range .Values.tenancy.credentials }}{{ if hasKey . "workloadIdentity" }}{{ $needed = true }}{{ end }}{{ end -}}
{{- $needed | ternary "true" "" -}}
{{- end }}

{{/* The secrets that credentials of `tenancy` name, as a list of {path, name, key}. */}}
{{- define "azp-scaler.tenancySecrets" -}}
{{- $secrets := list -}}
{{- range .Values.tenancy.credentials -}}
{{- $credential := .name -}}
{{- range list .personalAccessToken .clientSecret -}}
{{- with (. | default dict).existingSecret -}}
{{- $secrets = append $secrets (dict "path" $credential "name" .name "key" (.key | default "token")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $secrets -}}
{{- end }}

{{/* The tenancy file of `tenancy`, with paths where values have Secrets. */}}
{{- define "azp-scaler.tenancyFile" -}}
{{- $tenancy := .Values.tenancy -}}
{{- $file := dict -}}
{{- if $tenancy.organizations -}}
{{- $_ := set $file "organizations" $tenancy.organizations -}}
{{- else if .Values.organization.url -}}
{{- $_ := set $file "organizations" (list (dict "url" .Values.organization.url)) -}}
{{- end -}}
{{- $credentials := list -}}
{{- range deepCopy $tenancy.credentials -}}
{{- $credential := . -}}
{{- $path := printf "/etc/azp/credentials/%s" .name -}}
{{- with .personalAccessToken }}{{ if .existingSecret }}{{ $_ := set $credential "personalAccessToken" (dict "file" $path) }}{{ end }}{{ end -}}
{{- with .clientSecret }}{{ if .existingSecret }}{{ $_ := set $credential "clientSecret" (set (omit . "existingSecret") "secretFile" $path) }}{{ end }}{{ end -}}
{{- $credentials = append $credentials $credential -}}
{{- end -}}
{{- with $credentials }}{{ $_ := set $file "credentials" . }}{{ end -}}
{{- with $tenancy.ownTokens.namespaces }}{{ $_ := set $file "ownTokens" (dict "namespaces" .) }}{{ end -}}
{{- with $tenancy.authority }}{{ $_ := set $file "authority" . }}{{ end -}}
{{- toYaml $file -}}
{{- end }}

{{/* The tenancy file of `workloadIdentity`: one identity for everybody. */}}
{{- define "azp-scaler.identityFile" -}}
{{- $identity := dict -}}
{{- with .Values.workloadIdentity.clientId }}{{ $_ := set $identity "clientId" . }}{{ end -}}
{{- with .Values.workloadIdentity.tenantId }}{{ $_ := set $identity "tenantId" . }}{{ end -}}
{{- with .Values.workloadIdentity.authority }}{{ $_ := set $identity "authority" . }}{{ end -}}
{{- $organizations := list .Values.organization.url -}}
{{- $credential := dict "name" "default" "organizations" $organizations "workloadIdentity" $identity -}}
{{- if not $identity }}{{ $_ := set $credential "workloadIdentity" nil }}{{ end -}}
{{- dict "credentials" (list $credential) | toYaml -}}
{{- end }}

{{/* The tenancy file that the chart writes; empty where it writes none. */}}
{{- define "azp-scaler.writtenFile" -}}
{{- $way := include "azp-scaler.way" . -}}
{{- if eq $way "tenancy" -}}
{{- include "azp-scaler.tenancyFile" . -}}
{{- else if eq $way "workloadIdentity.enabled" -}}
{{- include "azp-scaler.identityFile" . -}}
{{- end -}}
{{- end }}

{{/* Where TLS is from: the Secret's name. */}}
{{- define "azp-scaler.tlsSecret" -}}
{{- .Values.tls.secretName | default (printf "%s-tls" (include "azp-scaler.fullname" .)) -}}
{{- end }}

{{/* KEDA's own certificate for mutual TLS. */}}
{{- define "azp-scaler.clientSecret" -}}
{{- .Values.tls.clientAuth.clientSecretName | default (printf "%s-client" (include "azp-scaler.fullname" .)) -}}
{{- end }}

{{- define "azp-scaler.triggerAuthentication" -}}
{{- .Values.tls.triggerAuthentication.name | default (printf "%s-tls" (include "azp-scaler.fullname" .)) -}}
{{- end }}
