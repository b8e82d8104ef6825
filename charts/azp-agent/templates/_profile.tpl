{{/*
What is made of one profile: itself over `defaults`, its name, its capabilities in
one spelling for the agent, the trigger and the placeholder, and its times. All but
the first take a dict of root, name and profile.
*/}}
{{/* A profile over `defaults`, as JSON. A map or list that is null is empty, and `requires` a list. Takes root and own. */}}
{{- define "azp-agent.profile" -}}
{{- $profile := mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (.own | default dict)) -}}
{{- range list "capabilities" "resources" "nodeSelector" "affinity" "podLabels" "podAnnotations" "labels" "annotations" -}}
{{- if not (get $profile .) -}}{{- $_ := set $profile . dict -}}{{- end -}}
{{- end -}}
{{- range list "requires" "tolerations" "topologySpreadConstraints" "env" "envFrom" "volumes" "volumeMounts" "initContainers" "sidecars" -}}
{{- if not (get $profile .) -}}{{- $_ := set $profile . list -}}{{- end -}}
{{- end -}}
{{- if kindIs "string" $profile.requires -}}
{{- $requires := list -}}
{{- range splitList "," $profile.requires -}}
{{- with trim . -}}{{- $requires = append $requires . -}}{{- end -}}
{{- end -}}
{{- $_ := set $profile "requires" ($requires | uniq) -}}
{{- end -}}
{{- toJson $profile -}}
{{- end -}}

{{- define "azp-agent.profileName" -}}
{{- printf "%s-%s" (include "azp-agent.fullname" .root) .name -}}
{{- end -}}

{{/* `docker, java=17`: the very text that the agent, the trigger and the placeholder have. */}}
{{- define "azp-agent.capabilities" -}}
{{- $items := list -}}
{{- if kindIs "string" .profile.capabilities -}}
{{- range splitList "," .profile.capabilities -}}
{{- with trim . -}}{{- $items = append $items . -}}{{- end -}}
{{- end -}}
{{- else -}}
{{- range $name, $value := .profile.capabilities -}}
{{- if kindIs "string" $value -}}
{{- $items = append $items (ternary $name (printf "%s=%s" $name $value) (empty $value)) -}}
{{- else if $value -}}
{{- $items = append $items $name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- /* The scaler takes agents for X64 unless it is told. */ -}}
{{- $told := false -}}
{{- range $items -}}
{{- if hasPrefix "agent.osarchitecture" (lower .) -}}{{- $told = true -}}{{- end -}}
{{- end -}}
{{- if and $items (eq .profile.arch "arm64") (not $told) -}}
{{- $items = prepend $items "Agent.OSArchitecture=ARM64" -}}
{{- end -}}
{{- join ", " $items -}}
{{- end -}}

{{/* A text as a value of a variable or an argument: the kubelet would take $(NAME) for a variable, and $$ for $. */}}
{{- define "azp-agent.literal" -}}
{{- . | replace "$" "$$" | quote -}}
{{- end -}}

{{/* Seconds of `90s`, `5m` or `2h`. */}}
{{- define "azp-agent.seconds" -}}
{{- $unit := regexFind "[smh]$" . -}}
{{- mul (trimSuffix $unit . | int64) (get (dict "s" 1 "m" 60 "h" 3600) $unit) -}}
{{- end -}}

{{/* The longest job, and the time to leave. */}}
{{- define "azp-agent.graceSeconds" -}}
{{- add (include "azp-agent.seconds" .profile.longestJob | int64) (include "azp-agent.seconds" .profile.leaveWithin | int64) -}}
{{- end -}}

{{/* Does an agent that is never online keep jobs queued? Empty: no. */}}
{{- define "azp-agent.hasPlaceholder" -}}
{{- $enabled := .profile.placeholder.enabled -}}
{{- if kindIs "invalid" $enabled -}}
{{- /* With `min` 1, too, there is no agent for moments: in a rollout, and after a ScaledJob's job. */ -}}
{{- $enabled = true -}}
{{- end -}}
{{- if and .root.Values.placeholders.enabled $enabled -}}true{{- end -}}
{{- end -}}

{{/* Is the root of the agent's container read-only? Empty: no. */}}
{{- define "azp-agent.readOnlyRoot" -}}
{{- $given := .profile.readOnlyRootFilesystem -}}
{{- if kindIs "invalid" $given -}}
{{- /* A container that starts again must not find what a job left in the agent's own folder. */ -}}
{{- $given = eq .profile.kind "ScaledJob" -}}
{{- end -}}
{{- if $given -}}true{{- end -}}
{{- end -}}

{{/* The service account of a profile's pods. */}}
{{- define "azp-agent.profileAccountName" -}}
{{- .profile.serviceAccountName | default (include "azp-agent.serviceAccountName" .root) -}}
{{- end -}}

{{/* Do the pods get a token of the cluster? Empty: no. */}}
{{- define "azp-agent.mountsToken" -}}
{{- $given := .profile.automountServiceAccountToken -}}
{{- if kindIs "invalid" $given -}}
{{- $given = or (not (empty .profile.serviceAccountName)) (not (empty (include "azp-agent.hasRights" .root))) -}}
{{- end -}}
{{- if $given -}}true{{- end -}}
{{- end -}}
