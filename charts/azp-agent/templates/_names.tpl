{{/*
Names, labels and images. What every name begins with is the release's name, with
`-azp-agent` where that is not in it.
*/}}
{{- define "azp-agent.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "azp-agent.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains (include "azp-agent.name" .) .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "azp-agent.name" .) -}}
{{- end -}}
{{- end -}}

{{/* The labels that a selector may name: they never change. Takes root, component and, for an agent, name. */}}
{{- define "azp-agent.selectorLabels" -}}
app.kubernetes.io/name: {{ include "azp-agent.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- with .name }}
azp-agent/profile: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* The labels of an object. Takes the same. */}}
{{- define "azp-agent.labels" -}}
{{- $own := include "azp-agent.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/version" (.root.Chart.AppVersion | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "azp-scaler" -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- merge $own .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* An object's annotations, as a whole field or nothing. Takes root and annotations. */}}
{{- define "azp-agent.annotations" -}}
{{- $all := merge (dict) (.annotations | default dict) .root.Values.commonAnnotations -}}
{{- with $all }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* An image by registry, name and digest or tag. Takes root and own, which goes before the release's. */}}
{{- define "azp-agent.image" -}}
{{- $release := .root.Values.image -}}
{{- $registry := .root.Values.global.imageRegistry | default .own.registry | default $release.registry -}}
{{- $repository := .own.repository | default $release.repository -}}
{{- $tag := .own.tag | default $release.tag | default .root.Chart.AppVersion -}}
{{- /* A profile's tag is not overruled by the release's digest. */ -}}
{{- $digest := .own.digest | default (ternary "" $release.digest (or (not (empty .own.tag)) (not (empty .own.repository)))) -}}
{{- $path := ternary (printf "%s/%s" $registry $repository) $repository (not (empty $registry)) -}}
{{- if $digest -}}
{{- printf "%s@%s" $path $digest -}}
{{- else -}}
{{- printf "%s:%s" $path $tag -}}
{{- end -}}
{{- end -}}

{{- define "azp-agent.pullSecrets" -}}
{{- with concat .Values.global.imagePullSecrets .Values.image.pullSecrets | uniq }}
imagePullSecrets:
{{- range . }}
- name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "azp-agent.serviceAccountName" -}}
{{- $account := .Values.serviceAccount.agent -}}
{{- $account.name | default (ternary (include "azp-agent.fullname" .) "default" $account.create) -}}
{{- end -}}

{{- define "azp-agent.kanikoAccountName" -}}
{{- .Values.serviceAccount.kaniko.name | default (printf "%s-kaniko" (include "azp-agent.fullname" .)) -}}
{{- end -}}

{{- define "azp-agent.kanikoNamespace" -}}
{{- .Values.kaniko.namespace | default .Release.Namespace -}}
{{- end -}}

{{/* Why its rights may be those of the cluster's administrator. Empty: they are not. */}}
{{- define "azp-agent.ownsCluster" -}}
{{- $rbac := .Values.rbac -}}
{{- if eq $rbac.clusterRole "cluster-admin" -}}
cluster-admin lets whoever may edit a pipeline own the cluster
{{- else if has $rbac.clusterRole (list "none" "view") -}}
{{- else if or (not $rbac.namespaces) (has "kube-system" $rbac.namespaces) -}}
{{ $rbac.clusterRole }} {{ ternary "in kube-system" "in all namespaces" (not (empty $rbac.namespaces)) }} may let whoever may edit a pipeline own the cluster, since who starts pods in kube-system may take any right
{{- end -}}
{{- end -}}

{{/* Has the release's service account a right in the cluster? Empty: no. */}}
{{- define "azp-agent.hasRights" -}}
{{- if or (ne .Values.rbac.clusterRole "none") .Values.kaniko.allowPods -}}true{{- end -}}
{{- end -}}
