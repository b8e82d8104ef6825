{{/*
What the schema cannot say. Each message names the value, what is wrong with it,
and the remedy. Nothing is rendered where one of them applies.
*/}}
{{- define "azp-agent.validate" -}}
{{- $values := .Values -}}
{{- if not $values.organization.url -}}
{{- fail "organization.url: is empty; write the organization or collection, such as https://dev.azure.com/contoso" -}}
{{- end -}}
{{- if regexMatch "^http://([^/]+\\.visualstudio\\.com|dev\\.azure\\.com)(/|$)" $values.organization.url -}}
{{- fail "organization.url: has no TLS, and the token would travel in clear text; write https://" -}}
{{- end -}}
{{- if not $values.profiles -}}
{{- fail "profiles: is empty; write at least one, such as profiles.linux.pool: k8s-linux" -}}
{{- end -}}
{{- if gt (len (include "azp-agent.fullname" .)) 40 -}}
{{- fail (printf "fullnameOverride: names would begin with %q, which has more than 40 characters; write a shorter fullnameOverride" (include "azp-agent.fullname" .)) -}}
{{- end -}}
{{- include "azp-agent.validateCredentials" . -}}
{{- include "azp-agent.validateRights" . -}}
{{- include "azp-agent.validateConfigs" . -}}
{{- include "azp-agent.validateSockets" (dict "at" "values" "given" $values) -}}
{{- include "azp-agent.validateVolumes" (dict "at" "extraVolumes" "volumes" $values.extraVolumes) -}}
{{- range $name, $own := $values.profiles -}}
{{- if kindIs "invalid" $own -}}
{{- fail (printf "profiles.%s: is null, which is no profile; write {} for one of defaults alone, or remove the name" $name) -}}
{{- end -}}
{{- end -}}
{{- $secret := $values.scaler.secret.name -}}
{{- if and $values.scaler.credential $secret -}}
{{- fail "scaler.credential: cannot go with scaler.secret.name; keep one of them" -}}
{{- end -}}
{{- end -}}

{{- define "azp-agent.validateCredentials" -}}
{{- $given := .Values.credentials -}}
{{- $application := $given.clientSecret -}}
{{- $ways := list -}}
{{- if $given.existingSecret.name -}}{{- $ways = append $ways "credentials.existingSecret.name" -}}{{- end -}}
{{- if $given.token -}}{{- $ways = append $ways "credentials.token" -}}{{- end -}}
{{- if $application.clientId -}}{{- $ways = append $ways "credentials.clientSecret.clientId" -}}{{- end -}}
{{- if .Values.workloadIdentity.enabled -}}{{- $ways = append $ways "workloadIdentity.enabled" -}}{{- end -}}
{{- if not $ways -}}
{{- fail "credentials: there is none; set one of credentials.existingSecret.name, credentials.token, credentials.clientSecret.clientId and workloadIdentity.enabled" -}}
{{- end -}}
{{- if gt (len $ways) 1 -}}
{{- fail (printf "credentials: %s are given; keep one of them" (join " and " $ways)) -}}
{{- end -}}
{{- if $application.clientId -}}
{{- if not $application.tenantId -}}
{{- fail "credentials.clientSecret.tenantId: is empty; write the tenant of the application" -}}
{{- end -}}
{{- if eq (empty $application.secret) (empty $application.existingSecret.name) -}}
{{- fail "credentials.clientSecret: set one of existingSecret.name and secret" -}}
{{- end -}}
{{- else if or $application.tenantId $application.secret $application.existingSecret.name -}}
{{- fail "credentials.clientSecret.clientId: is empty; write the client id of the application, or remove the rest of credentials.clientSecret" -}}
{{- end -}}
{{- if and .Values.workloadIdentity.enabled (not .Values.workloadIdentity.webhook) -}}
{{- if not (and .Values.workloadIdentity.clientId .Values.workloadIdentity.tenantId) -}}
{{- fail "workloadIdentity: without the webhook nobody else says who the agents are; set workloadIdentity.clientId and workloadIdentity.tenantId" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "azp-agent.validateRights" -}}
{{- $rbac := .Values.rbac -}}
{{- $risk := include "azp-agent.ownsCluster" . -}}
{{- if and $risk (not $rbac.acknowledgeClusterAdmin) -}}
{{- fail (printf "rbac.clusterRole: %s; take edit in rbac.namespaces, or set rbac.acknowledgeClusterAdmin to true" $risk) -}}
{{- end -}}
{{- $account := include "azp-agent.serviceAccountName" . -}}
{{- if and (include "azp-agent.hasRights" .) (eq $account "default") -}}
{{- fail "serviceAccount.agent.name: rights would go to the account default, and so to every pod of the namespace; set serviceAccount.agent.create to true, or name another account" -}}
{{- end -}}
{{- end -}}

{{- define "azp-agent.validateConfigs" -}}
{{- $aws := .Values.awsConfig -}}
{{- $text := include "azp-agent.awsConfigText" . -}}
{{- if and $aws.text $aws.profiles -}}
{{- fail "awsConfig.text: cannot go with awsConfig.profiles; keep one of them" -}}
{{- end -}}
{{- if and $aws.existing $text -}}
{{- fail "awsConfig.existing: cannot go with awsConfig.text or awsConfig.profiles; keep one of them" -}}
{{- end -}}
{{- if regexMatch "(?i)aws_(secret_access_key|session_token)" $text -}}
{{- fail "awsConfig: holds a secret key, and everybody who reads ConfigMaps could read it; let profiles take a role (role_arn) by the agents' service account" -}}
{{- end -}}
{{- $docker := .Values.dockerConfig -}}
{{- range $registry, $auth := get $docker.config "auths" | default dict -}}
{{- if $auth -}}
{{- fail (printf "dockerConfig.config.auths: holds a password for %q, and everybody who reads ConfigMaps could read it; put the config.json into a Secret and name that in dockerConfig.existingSecret.name, or use credHelpers" $registry) -}}
{{- end -}}
{{- end -}}
{{- if and $docker.existingSecret.name $docker.config -}}
{{- fail "dockerConfig.config: cannot go with dockerConfig.existingSecret.name; keep one of them" -}}
{{- end -}}
{{- if and $docker.existingSecret.name (not $docker.mountPath) -}}
{{- fail "dockerConfig.mountPath: is empty, so that nobody reads dockerConfig.existingSecret.name; write where agents find it, such as /azp/.docker, or mount the Secret in kaniko's pods yourself" -}}
{{- end -}}
{{- if and $docker.mountPath (not $docker.config) (not $docker.existingSecret.name) -}}
{{- fail "dockerConfig.mountPath: there is nothing to mount; set dockerConfig.config or dockerConfig.existingSecret.name" -}}
{{- end -}}
{{- end -}}
