{{/*
What a pod cannot have twice, and what no pod of this chart has: a variable or a
volume of the chart's own name, and the socket of a node's engine.
*/}}
{{/* A variable that a field of the profile makes, given beside it, would let the two drift apart. */}}
{{- define "azp-agent.validateEnv" -}}
{{- $fields := dict
  "AZP_URL" "set organization.url"
  "AZP_POOL" "set the profile's pool"
  "AZP_CAPABILITIES" "set the profile's capabilities, which the trigger has as well"
  "AZP_AGENT_NAME" "remove it: the scaler knows agents by the names of their pods"
  "AZP_TOKEN" "set credentials"
  "AZP_TOKEN_FILE" "set credentials"
  "AZP_CLIENTID" "set credentials or workloadIdentity"
  "AZP_TENANTID" "set credentials or workloadIdentity"
  "AZP_CLIENTSECRET" "set credentials.clientSecret"
  "AZP_WORK" "remove it: the work folder is a volume, see the profile's work"
  "AZP_ONCE" "set the profile's kind"
  "AZP_ONCE_LOOP" "set the profile's onceLoop"
  "AZP_IDLE_TIMEOUT" "set the profile's idleTimeout"
  "AZP_LEAVE_WITHIN" "set the profile's leaveWithin, of which the grace period is made"
  "AZP_SESSION_CHECK" "set the profile's sessionCheck"
  "AZP_METRICS_LISTEN" "set metrics.port"
  "AZP_LOG" "set the profile's log"
  "AZP_LOG_FORMAT" "set the profile's logFormat"
  "AZP_CA" "set organization.ca"
  "AZP_CLUSTER_NAME" "set clusterName"
-}}
{{- $name := .name -}}
{{- /* These are made in some cases alone, and may be given in the others. */ -}}
{{- range include "azp-agent.signInEnv" .root | fromYamlArray -}}
{{- if not (hasKey $fields .name) -}}{{- $_ := set $fields .name "set credentials or workloadIdentity" -}}{{- end -}}
{{- end -}}
{{- if .root.Values.dockerConfig.mountPath -}}
{{- $_ := set $fields "DOCKER_CONFIG" "set dockerConfig.mountPath" -}}
{{- end -}}
{{- $seen := list -}}
{{- range $variable := concat .root.Values.extraEnv .profile.env -}}
{{- if has $variable.name $seen -}}
{{- fail (printf "profiles.%s.env, or extraEnv: %s is there twice, of the two lists together, which Kubernetes refuses; keep one of them" $name $variable.name) -}}
{{- end -}}
{{- $seen = append $seen $variable.name -}}
{{- with get $fields $variable.name -}}
{{- fail (printf "profiles.%s.env, or extraEnv: %s is made by the chart; %s" $name $variable.name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Names that the chart gives to volumes, be they there or not. Takes at, volumes and, if need be, others. */}}
{{- define "azp-agent.validateVolumes" -}}
{{- $at := .at -}}
{{- $own := list "work" "azp" "tmp" "namespace" "azp-ca" "azure-identity-token" "aws-config" "docker-config" "placeholders" -}}
{{- $seen := list -}}
{{- range .others | default list -}}{{- $seen = append $seen .name -}}{{- end -}}
{{- range .volumes -}}
{{- if has .name $own -}}
{{- fail (printf "%s: %q is the name of a volume of the chart; choose another" $at .name) -}}
{{- end -}}
{{- if has .name $seen -}}
{{- fail (printf "%s: %q is there twice, or in extraVolumes as well, which Kubernetes refuses; keep one of them" $at .name) -}}
{{- end -}}
{{- $seen = append $seen .name -}}
{{- $path := (.hostPath | default dict).path | default "" -}}
{{- if and $path (regexMatch (include "azp-agent.socketFolders" $) (clean $path)) -}}
{{- fail (printf "%s: %q mounts %s of the node, where the socket of its engine is, and with it a job would own its node; build images in pods of their own, with kaniko" $at .name $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Folders of a node, cleaned, under which engines have their sockets. */}}
{{- define "azp-agent.socketFolders" -}}
^/(var)?$|^/(var/)?run(/(docker|containerd|crio|cri-o|podman|buildkit|k0s|k3s|k3s/containerd|user|user/[0-9]+|user/[0-9]+/(docker|podman)))?$
{{- end -}}

{{/* No value names a socket, wherever it stands. Takes at and given. */}}
{{- define "azp-agent.validateSockets" -}}
{{- with regexFind "(docker|dockershim|containerd|crio|cri-dockerd|podman|buildkitd)\\.sock" (toJson .given) -}}
{{- fail (printf "%s: %s is named in them, and with it a job would own its node; build images in pods of their own, with kaniko" $.at .) -}}
{{- end -}}
{{- end -}}
