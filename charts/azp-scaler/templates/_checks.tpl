{{/*
What no value can tell alone. Each message says what is wrong, in which value, and
what to do.
*/}}

{{/* A duration such as 500ms, 5s, 5m or 1h, in milliseconds. */}}
{{- define "azp-scaler.milliseconds" -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit) -}}
{{- end }}

{{- define "azp-scaler.check" -}}
{{- include "azp-scaler.checkCredentials" . -}}
{{- include "azp-scaler.checkTenancy" . -}}
{{- include "azp-scaler.checkTimes" . -}}
{{- include "azp-scaler.checkTls" . -}}
{{- include "azp-scaler.checkWriters" . -}}
{{- include "azp-scaler.checkRest" . -}}
{{- include "azp-scaler.checkPod" . -}}
{{- end }}

{{/* What a pod cannot have twice; Kubernetes would refuse it after the checks of helm. */}}
{{- define "azp-scaler.checkPod" -}}
{{- $names := list -}}
{{- range include "azp-scaler.env" . | fromYamlArray -}}
{{- if has .name $names }}{{ fail (printf "extraEnv has %s, which the chart makes of another value, or which is there twice; keep one of them" .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $own := list "token" "hook" "tenancy" "credentials" "tls" "client-ca" "azure-token" -}}
{{- range .Values.extraVolumes -}}
{{- if has .name $own }}{{ fail (printf "extraVolumes has %q, which is the name of a volume of the chart, or which is there twice; choose another" .name) }}{{ end -}}
{{- $own = append $own .name -}}
{{- end -}}
{{- end }}

{{- define "azp-scaler.checkCredentials" -}}
{{- $ways := include "azp-scaler.ways" . | fromJsonArray -}}
{{- $all := "credentials.existingSecret.name, credentials.token, workloadIdentity.enabled, tenancy (credentials or ownTokens), tenancy.existingConfigMap.name and tenancy.existingSecret.name" -}}
{{- if not $ways }}{{ fail (printf "there is no way to a token; set one of %s" $all) }}{{ end -}}
{{- if gt (len $ways) 1 }}{{ fail (printf "there are %d ways to a token (%s); keep one of them" (len $ways) (join ", " $ways)) }}{{ end -}}
{{- $way := first $ways -}}
{{- $url := .Values.organization.url -}}
{{- if and (not $url) (not (hasPrefix "tenancy" $way)) }}{{ fail (printf "organization.url is not set; %s needs it, such as https://dev.azure.com/ORGANIZATION" $way) }}{{ end -}}
{{- if and $url (has $way (list "tenancy.existingConfigMap" "tenancy.existingSecret")) }}{{ fail (printf "organization.url is set beside %s, and would mean nothing; write it into that file and empty the value" $way) }}{{ end -}}
{{- if and $url .Values.tenancy.organizations }}{{ fail "organization.url is set beside tenancy.organizations; keep one of them" }}{{ end -}}
{{- if and .Values.hook.existingSecret.name .Values.hook.secret }}{{ fail "hook.existingSecret.name and hook.secret are both set; keep one of them" }}{{ end -}}
{{- if and .Values.workloadIdentity.forTenancy (not (has $way (list "tenancy.existingConfigMap" "tenancy.existingSecret"))) }}{{ fail "workloadIdentity.forTenancy is for tenancy.existingConfigMap and tenancy.existingSecret; set it to false, since the chart sees by itself what else needs the identity" }}{{ end -}}
{{- $withoutWebhook := and (include "azp-scaler.identity" .) (not .Values.workloadIdentity.webhook) -}}
{{- if and .Values.workloadIdentity.enabled $withoutWebhook -}}
{{- if not .Values.workloadIdentity.clientId }}{{ fail "workloadIdentity.clientId is not set, and without the webhook nothing else tells it; set it to the identity's client id" }}{{ end -}}
{{- if not .Values.workloadIdentity.tenantId }}{{ fail "workloadIdentity.tenantId is not set, and without the webhook nothing else tells it; set it to the tenant's id" }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "azp-scaler.checkTenancy" -}}
{{- $tenancy := .Values.tenancy -}}
{{- $way := include "azp-scaler.way" . -}}
{{- if ne $way "tenancy" -}}
{{- if $tenancy.organizations }}{{ fail (printf "tenancy.organizations is set, but the token comes from %s; write tenancy.credentials too, or empty it" $way) }}{{ end -}}
{{- if $tenancy.authority }}{{ fail (printf "tenancy.authority is set, but the token comes from %s; write tenancy.credentials too, or empty it" $way) }}{{ end -}}
{{- end -}}
{{- $names := list -}}
{{- range $tenancy.credentials -}}
{{- if has .name $names }}{{ fail (printf "tenancy.credentials has %q twice; choose another name for one" .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- $kinds := list -}}
{{- $credential := . -}}
{{- range list "personalAccessToken" "workloadIdentity" "clientSecret" "managedIdentity" }}{{ if hasKey $credential . }}{{ $kinds = append $kinds . }}{{ end }}{{ end -}}
{{- if ne (len $kinds) 1 }}{{ fail (printf "tenancy.credentials: %q has %d of personalAccessToken, workloadIdentity, clientSecret and managedIdentity; give it one" .name (len $kinds)) }}{{ end -}}
{{- end -}}
{{- $namespaces := list -}}
{{- range .Values.credentialSecrets -}}
{{- if has .namespace $namespaces }}{{ fail (printf "credentialSecrets has namespace %q twice; put all names into one entry" .namespace) }}{{ end -}}
{{- $namespaces = append $namespaces .namespace -}}
{{- end -}}
{{- if and .Values.credentialSecrets (eq .Values.watch.mode "off") }}{{ fail "credentialSecrets is set, but watch.mode is off, so that no Secret is read; set watch.mode to auto, or empty credentialSecrets" }}{{ end -}}
{{- if and .Values.credentialSecrets (eq $way "tenancy") (not $tenancy.ownTokens.namespaces) }}{{ fail "credentialSecrets is set, but no namespace may bring a token of its own; name them in tenancy.ownTokens.namespaces" }}{{ end -}}
{{- if and .Values.credentialSecrets (not (hasPrefix "tenancy" $way)) }}{{ fail (printf "credentialSecrets is set, but with %s no namespace may bring a token of its own; use tenancy with ownTokens" $way) }}{{ end -}}
{{- end }}

{{- define "azp-scaler.checkTimes" -}}
{{- $config := .Values.config -}}
{{- $poll := include "azp-scaler.milliseconds" $config.pollInterval | int64 -}}
{{- $idle := include "azp-scaler.milliseconds" $config.idleInterval | int64 -}}
{{- $stale := include "azp-scaler.milliseconds" $config.maxStale | int64 -}}
{{- $delay := include "azp-scaler.milliseconds" $config.drainDelay | int64 -}}
{{- $deadline := include "azp-scaler.milliseconds" $config.drainDeadline | int64 -}}
{{- $grace := mul .Values.terminationGracePeriodSeconds 1000 -}}
{{- if lt $idle $poll }}{{ fail (printf "config.idleInterval (%s) is below config.pollInterval (%s); make it equal or longer" $config.idleInterval $config.pollInterval) }}{{ end -}}
{{- if lt $stale (mul 2 $idle) }}{{ fail (printf "config.maxStale (%s) is below twice config.idleInterval (%s), so that one late reading would be an error; make it longer" $config.maxStale $config.idleInterval) }}{{ end -}}
{{- if le $deadline $delay }}{{ fail (printf "config.drainDeadline (%s) is not above config.drainDelay (%s), so that nothing under way could end; make it longer" $config.drainDeadline $config.drainDelay) }}{{ end -}}
{{- if le $grace $deadline }}{{ fail (printf "terminationGracePeriodSeconds (%d) is not above config.drainDeadline (%s), so that the kubelet would kill before the drain has ended; make it longer" (int64 .Values.terminationGracePeriodSeconds) $config.drainDeadline) }}{{ end -}}
{{- end }}

{{- define "azp-scaler.checkTls" -}}
{{- $tls := .Values.tls -}}
{{- $client := $tls.clientAuth -}}
{{- $auth := $tls.triggerAuthentication -}}
{{- if and (eq $tls.mode "none") $client.enabled }}{{ fail "tls.clientAuth.enabled needs TLS; set tls.mode to given, certManager or generate" }}{{ end -}}
{{- if and (eq $tls.mode "none") $tls.secretName }}{{ fail "tls.secretName is set, but tls.mode is none; set it to given, or empty the name" }}{{ end -}}
{{- if and (eq $tls.mode "given") (not $tls.secretName) }}{{ fail "tls.secretName is not set; tls.mode given needs the name of a Secret with tls.crt and tls.key" }}{{ end -}}
{{- if and (eq $tls.mode "generate") $tls.ca }}{{ fail "tls.ca is set, but tls.mode generate makes the authority itself; empty it" }}{{ end -}}
{{- if and $client.enabled (eq $tls.mode "given") (not $client.clientSecretName) $auth.create }}{{ fail "tls.clientAuth.clientSecretName is not set; tls.mode given needs the Secret with the certificate that KEDA shows" }}{{ end -}}
{{- if and $client.enabled (eq $tls.mode "generate") (or $client.clientSecretName $client.caSecretName) }}{{ fail "tls.clientAuth.clientSecretName and caSecretName are not for tls.mode generate, which makes both; empty them" }}{{ end -}}
{{- if and $client.enabled $auth.namespaces }}{{ fail "tls.triggerAuthentication.namespaces would put the client's key where tenants read it, and whoever has it can say any namespace; empty it and set tls.triggerAuthentication.cluster to true" }}{{ end -}}
{{- if and $auth.cluster $auth.namespaces }}{{ fail "tls.triggerAuthentication.namespaces is set beside cluster, which serves all namespaces; empty it" }}{{ end -}}
{{- $copies := and $auth.create (or $auth.namespaces (and $auth.cluster (ne .Values.keda.namespace .Release.Namespace))) -}}
{{- if and (has $tls.mode (list "given" "certManager")) $copies (not $tls.ca) }}{{ fail (printf "tls.ca is not set; the authority is to be copied into other namespaces (tls.triggerAuthentication), and with tls.mode %s the chart does not know it: set it to the PEM text of the authority" $tls.mode) }}{{ end -}}
{{- if and $copies $client.enabled (eq $tls.mode "certManager") (not $client.clientSecretName) }}{{ fail "tls.clientAuth.clientSecretName is not set; cert-manager makes KEDA's certificate in the release's namespace, and a ClusterTriggerAuthentication takes it from keda.namespace: put it into a Secret there and name that" }}{{ end -}}
{{- if and $client.enabled (eq $tls.mode "certManager") $client.clientSecretName (not $client.caSecretName) }}{{ fail "tls.clientAuth.caSecretName is not set; name the Secret with the authority of the certificate in clientSecretName" }}{{ end -}}
{{- end }}

{{- define "azp-scaler.checkRest" -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- $min := $budget.minAvailable | toString -}}
{{- $max := $budget.maxUnavailable | toString -}}
{{- if $budget.enabled -}}
{{- if and $min $max }}{{ fail "podDisruptionBudget.minAvailable and maxUnavailable are both set; empty one (\"\")" }}{{ end -}}
{{- if not (or $min $max) }}{{ fail "podDisruptionBudget has neither minAvailable nor maxUnavailable; set maxUnavailable to 1" }}{{ end -}}
{{- if and (gt (int .Values.replicas) 1) (regexMatch "^[0-9]+$" $min) (ge (int $min) (int .Values.replicas)) }}{{ fail (printf "podDisruptionBudget.minAvailable (%s) is not below replicas (%d), so that no node could be drained; lower it" $min (int .Values.replicas)) }}{{ end -}}
{{- if or (eq $max "0") (eq $max "0%") (eq $min "100%") }}{{ fail "podDisruptionBudget lets no replica away, so that no node could be drained; set maxUnavailable to 1" }}{{ end -}}
{{- end -}}
{{- if and .Values.watch.clusterWide .Values.watch.namespaces }}{{ fail "watch.clusterWide and watch.namespaces are both set; keep one of them" }}{{ end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}{{ fail "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled are both set, so that all would be counted twice; keep one of them" }}{{ end -}}
{{- $hook := .Values.hook -}}
{{- if and (or $hook.ingress.enabled $hook.httpRoute.enabled) (not (include "azp-scaler.hookSecret" .)) }}{{ fail "hook.ingress and hook.httpRoute need a secret, since hooks are refused without; set hook.existingSecret.name or hook.secret" }}{{ end -}}
{{- if and $hook.ingress.enabled (not $hook.ingress.host) }}{{ fail "hook.ingress.host is not set; name the host that Azure DevOps calls" }}{{ end -}}
{{- if and $hook.httpRoute.enabled (not $hook.httpRoute.parentRefs) }}{{ fail "hook.httpRoute.parentRefs is empty; name the gateway" }}{{ end -}}
{{- if eq (int .Values.service.grpcPort) (int .Values.service.httpPort) }}{{ fail (printf "service.grpcPort and service.httpPort are both %d; choose another for one" (int .Values.service.grpcPort)) }}{{ end -}}
{{- end }}
