{{/*
Names, labels and addresses. Every name leaves room for the longest ending that a
Service gets, so that none is above 63 characters.
*/}}

{{- define "azp-scaler.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 54 | trimAll "-" -}}
{{- end }}

{{- define "azp-scaler.fullname" -}}
{{- $name := include "azp-scaler.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $full | trunc 54 | trimAll "-" -}}
{{- end }}

{{- define "azp-scaler.selector" -}}
app.kubernetes.io/name: {{ include "azp-scaler.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: scaler
{{- end }}

{{/*
The metadata of an object. It takes `root` and `name`, and if need be `namespace`
(another than the release's), `cluster` (none), `component`, `labels`, `annotations`.
*/}}
{{- define "azp-scaler.metadata" -}}
{{- $root := .root -}}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/version" ($root.Chart.AppVersion | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "azp-scaler" -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $own = mergeOverwrite $own (include "azp-scaler.selector" $root | fromYaml) -}}
{{- with .component }}{{ $_ := set $own "app.kubernetes.io/component" . }}{{ end -}}
name: {{ .name | quote }}
{{- if not .cluster }}
namespace: {{ .namespace | default $root.Release.Namespace | quote }}
{{- end }}
labels:
  {{- mergeOverwrite (deepCopy $root.Values.commonLabels) (deepCopy (.labels | default dict)) $own | toYaml | nindent 2 }}
{{- with mergeOverwrite (deepCopy $root.Values.commonAnnotations) (deepCopy (.annotations | default dict)) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "azp-scaler.serviceAccountName" -}}
{{- $default := .Values.serviceAccount.create | ternary (include "azp-scaler.fullname" .) "default" -}}
{{- .Values.serviceAccount.name | default $default -}}
{{- end }}

{{/* The name of what lies outside of the release's namespace, where other releases' lies too. */}}
{{- define "azp-scaler.foreignName" -}}
{{- printf "%s:%s" .Release.Namespace (include "azp-scaler.fullname" .) -}}
{{- end }}

{{- define "azp-scaler.image" -}}
{{- $image := .Values.image -}}
{{- $registry := .Values.global.imageRegistry | default $image.registry -}}
{{- $version := printf ":%s" ($image.tag | default .Chart.AppVersion) -}}
{{- with $image.digest }}{{ $version = printf "@%s" . }}{{ end -}}
{{- with $registry }}{{ . }}/{{ end }}{{ $image.repository }}{{ $version -}}
{{- end }}

{{- define "azp-scaler.pullSecrets" -}}
{{- with concat (.Values.global.imagePullSecrets | default list) .Values.image.pullSecrets | uniq -}}
imagePullSecrets:
{{- range . }}
- name: {{ kindIs "map" . | ternary (printf "%v" (get (kindIs "map" . | ternary . dict) "name")) . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The plain Service, as triggers name it. */}}
{{- define "azp-scaler.plainAddress" -}}
{{- printf "%s.%s.svc:%d" (include "azp-scaler.fullname" .) .Release.Namespace (int .Values.service.grpcPort) -}}
{{- end }}

{{/* The headless Service: KEDA asks every replica by turns. */}}
{{- define "azp-scaler.headlessAddress" -}}
{{- printf "%s-headless.%s.svc:9090" (include "azp-scaler.fullname" .) .Release.Namespace -}}
{{- end }}

{{/* What to write into `scalerAddress`. */}}
{{- define "azp-scaler.scalerAddress" -}}
{{- $of := gt (int .Values.replicas) 1 | ternary "headless" "plain" -}}
{{- include (printf "azp-scaler.%sAddress" $of) . -}}
{{- end }}

{{- define "azp-scaler.job" -}}
{{- .Values.metrics.job | default (printf "%s/%s" .Release.Namespace (include "azp-scaler.fullname" .)) -}}
{{- end }}
