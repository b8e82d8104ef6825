{{/* The names of the certificate, as JSON: both Services in all their forms. */}}
{{- define "azp-scaler.dnsNames" -}}
{{- $names := list -}}
{{- $full := include "azp-scaler.fullname" . -}}
{{- range list $full (printf "%s-headless" $full) -}}
{{- $of := printf "%s.%s" . $.Release.Namespace -}}
{{- $names = concat $names (list . $of (printf "%s.svc" $of) (printf "%s.svc.%s" $of $.Values.clusterDomain)) -}}
{{- end -}}
{{- concat $names .Values.tls.dnsNames | uniq | toJson -}}
{{- end }}

{{/* The namespaces beside the release's that get a copy of the authority, as JSON. */}}
{{- define "azp-scaler.copies" -}}
{{- $auth := .Values.tls.triggerAuthentication -}}
{{- $to := $auth.cluster | ternary (list .Values.keda.namespace) $auth.namespaces -}}
{{- without ($auth.create | ternary $to list | uniq) .Release.Namespace | toJson -}}
{{- end }}

{{/* A Secret: `root`, `name`, `namespace`, `type`, `annotations` and `data`, which is encoded already. */}}
{{- define "azp-scaler.tlsObject" -}}
---
apiVersion: v1
kind: Secret
metadata:
  {{- include "azp-scaler.metadata" (omit . "data" "type") | nindent 2 }}
type: {{ .type | default "Opaque" }}
data:
  {{- toYaml .data | nindent 2 }}
{{- end }}

{{/* Can `helm test` show a certificate where one is asked for? KEDA's may lie in its own namespace alone. */}}
{{- define "azp-scaler.testable" -}}
{{- $client := .Values.tls.clientAuth -}}
{{- $elsewhere := and .Values.tls.triggerAuthentication.cluster (ne .Values.keda.namespace .Release.Namespace) -}}
{{- $missing := and $client.enabled $client.clientSecretName $elsewhere (not .Values.helmTest.clientSecretName) -}}
{{- and .Values.helmTest.enabled (not $missing) | ternary "true" "" -}}
{{- end }}
