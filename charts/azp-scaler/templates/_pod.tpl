{{/* What the container is told, and what it finds on disk. */}}

{{- define "azp-scaler.env" -}}
{{- $config := .Values.config -}}
- name: AZP_GRPC_LISTEN
  value: 0.0.0.0:9090
- name: AZP_HTTP_LISTEN
  value: 0.0.0.0:8080
{{- $way := include "azp-scaler.way" . }}
{{- if hasPrefix "credentials" $way }}
- name: AZP_URL
  value: {{ .Values.organization.url | quote }}
- name: AZP_TOKEN_FILE
  value: /etc/azp/token/token
{{- else }}
- name: AZP_TENANCY
  value: /etc/azp/tenancy/tenancy.yaml
{{- end }}
- name: AZP_CLUSTER
  value: {{ .Values.watch.mode | quote }}
{{- if and (ne .Values.watch.mode "off") (not .Values.watch.clusterWide) }}
- name: AZP_NAMESPACES
  value: {{ .Values.watch.namespaces | default (list .Release.Namespace) | join "," | quote }}
{{- end }}
- name: AZP_SCALER_ADDRESS
  value: {{ concat (list (include "azp-scaler.plainAddress" .) (include "azp-scaler.headlessAddress" .)) $config.scalerAddresses | join "," | quote }}
{{- if ne .Values.tls.mode "none" }}
- name: AZP_TLS_CERT
  value: /etc/azp/tls/tls.crt
- name: AZP_TLS_KEY
  value: /etc/azp/tls/tls.key
{{- if .Values.tls.clientAuth.enabled }}
- name: AZP_TLS_CLIENT_CA
  value: /etc/azp/client-ca/ca.crt
{{- end }}
{{- end }}
{{- if include "azp-scaler.hookSecret" . }}
- name: AZP_HOOK_SECRET_FILE
  value: /etc/azp/hook/secret
{{- end }}
- name: AZP_PARALLEL_JOBS
  value: {{ $config.parallelJobs | quote }}
- name: AZP_POLL_INTERVAL
  value: {{ $config.pollInterval | quote }}
- name: AZP_IDLE_INTERVAL
  value: {{ $config.idleInterval | quote }}
- name: AZP_MAX_STALE
  value: {{ $config.maxStale | quote }}
- name: AZP_LEARN
  value: {{ $config.learn | quote }}
- name: AZP_FORGET_AFTER
  value: {{ $config.forgetAfter | quote }}
- name: AZP_MAX_POOLS
  value: {{ int64 $config.maxPools | quote }}
- name: AZP_MAX_SCALING_OBJECTS
  value: {{ int64 $config.maxScalingObjects | quote }}
- name: AZP_REQUEST_TIMEOUT
  value: {{ $config.requestTimeout | quote }}
- name: AZP_BODY_CAP
  value: {{ $config.bodyCap | quote }}
- name: AZP_DRAIN_DELAY
  value: {{ $config.drainDelay | quote }}
- name: AZP_DRAIN_DEADLINE
  value: {{ $config.drainDeadline | quote }}
- name: AZP_LOG
  value: {{ $config.log | quote }}
- name: AZP_LOG_FORMAT
  value: {{ $config.logFormat | quote }}
{{- include "azp-scaler.identityEnv" . }}
{{- include "azp-scaler.writersEnv" . }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the webhook of Azure Workload Identity would set. */}}
{{- define "azp-scaler.identityEnv" -}}
{{- $identity := .Values.workloadIdentity -}}
{{- if and (include "azp-scaler.identity" .) (not $identity.webhook) }}
- name: AZURE_FEDERATED_TOKEN_FILE
  value: /var/run/secrets/azure/token
{{- with $identity.clientId }}
- name: AZURE_CLIENT_ID
  value: {{ . | quote }}
{{- end }}
{{- with $identity.tenantId }}
- name: AZURE_TENANT_ID
  value: {{ . | quote }}
{{- end }}
{{- with $identity.authority }}
- name: AZURE_AUTHORITY_HOST
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Mounts and volumes: one list, each with where it is mounted, so that the two cannot differ. */}}
{{- define "azp-scaler.ownVolumes" -}}
{{- $volumes := list -}}
{{- $secret := list "token" "/etc/azp/token" "token" (include "azp-scaler.tokenSecret" .) -}}
{{- $hook := list "hook" "/etc/azp/hook" "secret" (include "azp-scaler.hookSecret" .) -}}
{{- range list $secret $hook -}}
{{- if last . -}}
{{- $of := splitList " " (last .) -}}
{{- $source := dict "secretName" (first $of) "defaultMode" 0440 "items" (list (dict "key" (last $of) "path" (index . 2))) -}}
{{- $volumes = append $volumes (dict "name" (first .) "at" (index . 1) "source" (dict "secret" $source)) -}}
{{- end -}}
{{- end -}}
{{- $given := .Values.tenancy -}}
{{- if include "azp-scaler.writtenFile" . -}}
{{- $source := dict "configMap" (dict "name" (printf "%s-tenancy" (include "azp-scaler.fullname" .))) -}}
{{- $volumes = append $volumes (dict "name" "tenancy" "at" "/etc/azp/tenancy" "source" $source) -}}
{{- else if $given.existingConfigMap.name -}}
{{- $source := dict "configMap" (dict "name" $given.existingConfigMap.name "items" (list (dict "key" $given.existingConfigMap.key "path" "tenancy.yaml"))) -}}
{{- $volumes = append $volumes (dict "name" "tenancy" "at" "/etc/azp/tenancy" "source" $source) -}}
{{- else if $given.existingSecret.name -}}
{{- $source := dict "secret" (dict "secretName" $given.existingSecret.name "defaultMode" 0440 "items" (list (dict "key" $given.existingSecret.key "path" "tenancy.yaml"))) -}}
{{- $volumes = append $volumes (dict "name" "tenancy" "at" "/etc/azp/tenancy" "source" $source) -}}
{{- end -}}
{{- with include "azp-scaler.tenancySecrets" . | fromJsonArray -}}
{{- $sources := list -}}
{{- range . -}}
{{- $sources = append $sources (dict "secret" (dict "name" .name "items" (list (dict "key" .key "path" .path)))) -}}
{{- end -}}
{{- $source := dict "projected" (dict "defaultMode" 0440 "sources" $sources) -}}
{{- $volumes = append $volumes (dict "name" "credentials" "at" "/etc/azp/credentials" "source" $source) -}}
{{- end -}}
{{- if ne .Values.tls.mode "none" -}}
{{- $source := dict "secret" (dict "secretName" (include "azp-scaler.tlsSecret" .) "defaultMode" 0440) -}}
{{- $volumes = append $volumes (dict "name" "tls" "at" "/etc/azp/tls" "source" $source) -}}
{{- with .Values.tls.clientAuth -}}
{{- if .enabled -}}
{{- $name := .caSecretName | default (include "azp-scaler.tlsSecret" $) -}}
{{- $source := dict "secret" (dict "secretName" $name "defaultMode" 0440 "items" (list (dict "key" .caKey "path" "ca.crt"))) -}}
{{- $volumes = append $volumes (dict "name" "client-ca" "at" "/etc/azp/client-ca" "source" $source) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $identity := .Values.workloadIdentity -}}
{{- if and (include "azp-scaler.identity" .) (not $identity.webhook) -}}
{{- $token := dict "path" "token" "audience" $identity.audience "expirationSeconds" (int $identity.tokenExpirationSeconds) -}}
{{- $source := dict "projected" (dict "defaultMode" 0440 "sources" (list (dict "serviceAccountToken" $token))) -}}
{{- $volumes = append $volumes (dict "name" "azure-token" "at" "/var/run/secrets/azure" "source" $source) -}}
{{- end -}}
{{- toJson $volumes -}}
{{- end }}

{{- define "azp-scaler.volumes" -}}
{{- $list := list -}}
{{- range include "azp-scaler.ownVolumes" . | fromJsonArray }}{{ $list = append $list (merge (dict "name" .name) .source) }}{{ end -}}
{{- with concat $list .Values.extraVolumes }}{{ toYaml . }}{{ end -}}
{{- end }}

{{- define "azp-scaler.mounts" -}}
{{- $list := list -}}
{{- range include "azp-scaler.ownVolumes" . | fromJsonArray }}{{ $list = append $list (dict "name" .name "mountPath" .at "readOnly" true) }}{{ end -}}
{{- with concat $list .Values.extraVolumeMounts }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* An entry without a selector spreads the replicas of this release. */}}
{{- define "azp-scaler.spread" -}}
{{- $list := list -}}
{{- $selector := dict "matchLabels" (include "azp-scaler.selector" . | fromYaml) -}}
{{- range .Values.topologySpreadConstraints -}}
{{- $list = append $list (hasKey . "labelSelector" | ternary . (set (deepCopy .) "labelSelector" $selector)) -}}
{{- end -}}
{{- with $list }}{{ toYaml . }}{{ end -}}
{{- end }}
