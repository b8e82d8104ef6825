{{/*
What the schema cannot say of one profile. Takes root, name and profile.
*/}}
{{- define "azp-agent.validateProfile" -}}
{{- $at := printf "profiles.%s" .name -}}
{{- $profile := .profile -}}
{{- $job := eq $profile.kind "ScaledJob" -}}
{{- if not $profile.pool -}}
{{- fail (printf "%s.pool: is empty; name the agent pool" $at) -}}
{{- end -}}
{{- $full := include "azp-agent.profileName" . -}}
{{- if gt (len $full) 46 -}}
{{- fail (printf "%s: its pods would be named after %q, which has more than 46 characters, and agents are known by the names of their pods; write a shorter name or a shorter fullnameOverride" $at $full) -}}
{{- end -}}
{{- if include "azp-agent.hasPlaceholder" . -}}
{{- $held := include "azp-agent.placeholderName" . -}}
{{- if gt (len $held) 63 -}}
{{- fail (printf "%s: its placeholder would be named %q, which has more than 63 characters; write a shorter name or a shorter fullnameOverride, or a shorter clusterName" $at $held) -}}
{{- end -}}
{{- end -}}
{{- range list "longestJob" "leaveWithin" -}}
{{- if gt (include "azp-agent.seconds" (get $profile .) | int64) 2592000 -}}
{{- fail (printf "%s.%s: %s is more than 30 days, for which no node stays; write 720h or less" $at . (get $profile .)) -}}
{{- end -}}
{{- end -}}
{{- if gt (int $profile.min) (int $profile.max) -}}
{{- fail (printf "%s.min: %d is more than max, which is %d; raise max or lower min" $at (int $profile.min) (int $profile.max)) -}}
{{- end -}}
{{- if and $job $profile.onceLoop -}}
{{- fail (printf "%s.onceLoop: is for Deployments, and a ScaledJob's agent runs one job; remove it, or set kind: Deployment" $at) -}}
{{- end -}}
{{- if and $job $profile.directScaleUp -}}
{{- fail (printf "%s.directScaleUp: is for Deployments, and KEDA alone makes a ScaledJob's Jobs; remove it, or set kind: Deployment" $at) -}}
{{- end -}}
{{- if and $job $profile.sidecars -}}
{{- fail (printf "%s.sidecars: would keep the agent's Job from ending; write them into initContainers with restartPolicy: Always" $at) -}}
{{- end -}}
{{- if and $job .root.Values.extraContainers -}}
{{- fail (printf "extraContainers: would keep the Jobs of %s from ending; write them into initContainers with restartPolicy: Always, or into sidecars of the Deployments" $at) -}}
{{- end -}}
{{- if and $job (gt (int $profile.warmAgents) 0) (ne $profile.scaledJob.strategy "default") -}}
{{- fail (printf "%s.warmAgents: cannot be kept with the strategy %s, which never takes off an agent that already waits; set scaledJob.strategy: default" $at $profile.scaledJob.strategy) -}}
{{- end -}}
{{- $rolling := $profile.deployment -}}
{{- if and (has (toString $rolling.maxSurge) (list "0" "0%")) (has (toString $rolling.maxUnavailable) (list "0" "0%")) -}}
{{- fail (printf "%s.deployment: with maxSurge 0 and maxUnavailable 0 no agent could ever be replaced; raise one of them" $at) -}}
{{- end -}}
{{- if and $profile.work.volumeClaim (or $profile.work.sizeLimit $profile.work.medium) -}}
{{- fail (printf "%s.work: sizeLimit and medium are for an emptyDir, and volumeClaim takes its place; keep one of them" $at) -}}
{{- end -}}
{{- include "azp-agent.validateCapabilities" . -}}
{{- include "azp-agent.validateEnv" . -}}
{{- include "azp-agent.validateVolumes" (dict "at" (printf "%s.volumes" $at) "volumes" $profile.volumes "others" .root.Values.extraVolumes) -}}
{{- end -}}

{{/* By the rules of the trigger: what is refused there is refused here, before anything is applied. */}}
{{- define "azp-agent.validateCapabilities" -}}
{{- $at := printf "profiles.%s" .name -}}
{{- $text := include "azp-agent.capabilities" . -}}
{{- if not (kindIs "string" .profile.capabilities) -}}
{{- range $name, $value := .profile.capabilities -}}
{{- if contains "," (printf "%s%v" $name $value) -}}
{{- fail (printf "%s.capabilities.%s: has a comma, at which the list is cut; write it without" $at $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range splitList ", " $text -}}
{{- $name := index (splitList "=" .) 0 | trim | lower -}}
{{- if $text -}}
{{- if or (not $name) (regexMatch "\\s" $name) -}}
{{- fail (printf "%s.capabilities: %q is no capability; write NAME or NAME=VALUE, and no white space in the name" $at .) -}}
{{- end -}}
{{- if has $name $names -}}
{{- fail (printf "%s.capabilities: %q is there twice; keep one of them" $at $name) -}}
{{- end -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- end -}}
{{- range .profile.requires -}}
{{- if not (has (lower .) $names) -}}
{{- fail (printf "%s.requires: %q is not among the capabilities; add it there" $at .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
