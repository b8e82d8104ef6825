{{/*
Who writes, to the cluster or to agent pools: nobody, unless a value names it. In a dry run nobody gets
a right to write, so that the apiserver would refuse what the program should not do.
*/}}

{{/* The writers that are on, as `azp-scaler serve` names them: `busy-marks,reaper`. Empty: none. */}}
{{- define "azp-scaler.writers" -}}
{{- $on := list -}}
{{- if .Values.writers.busyMarks.enabled }}{{ $on = append $on "busy-marks" }}{{ end -}}
{{- if .Values.writers.directScaleUp.enabled }}{{ $on = append $on "direct-scale-up" }}{{ end -}}
{{- if .Values.writers.placeholders.enabled }}{{ $on = append $on "placeholders" }}{{ end -}}
{{- if .Values.writers.reaper.enabled }}{{ $on = append $on "reaper" }}{{ end -}}
{{- if .Values.writers.events.enabled }}{{ $on = append $on "events" }}{{ end -}}
{{- join "," $on -}}
{{- end }}

{{- define "azp-scaler.writersEnv" -}}
{{- with include "azp-scaler.writers" . }}
- name: AZP_WRITERS
  value: {{ . | quote }}
- name: AZP_LEASE
  value: {{ printf "%s/%s" $.Release.Namespace (include "azp-scaler.fullname" $) | quote }}
- name: AZP_IDENTITY
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- if $.Values.writers.busyMarks.enabled }}
- name: AZP_MARKS_PER_SECOND
  value: {{ int64 $.Values.writers.busyMarks.perSecond | quote }}
{{- end }}
{{- if or $.Values.writers.placeholders.enabled $.Values.writers.reaper.enabled }}
- name: AZP_CLUSTER_NAME
  value: {{ $.Values.clusterName | quote }}
{{- end }}
{{- if $.Values.writers.placeholders.enabled }}
- name: AZP_PLACEHOLDERS_GONE_FOR
  value: {{ $.Values.writers.placeholders.goneFor | quote }}
{{- end }}
{{- if $.Values.writers.reaper.enabled }}
- name: AZP_REAP_AFTER
  value: {{ $.Values.writers.reaper.offlineFor | quote }}
{{- end }}
{{- if $.Values.writers.dryRun }}
- name: AZP_DRY_RUN
  value: "true"
{{- end }}
{{- end }}
{{- end }}

{{/* What the writers need in each namespace that is watched, beside what is read anyway. */}}
{{- define "azp-scaler.writerRules" -}}
{{- $writers := .Values.writers -}}
{{- if and $writers.busyMarks.enabled (not $writers.dryRun) }}
# Marks on the pods of agents that have a job.
- apiGroups: [""]
  resources: [pods]
  verbs: [patch]
{{- end }}
{{- if $writers.directScaleUp.enabled }}
# Deployments whose triggers ask to be scaled up directly.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: {{ $writers.dryRun | ternary "[get]" "[get, patch]" }}
{{- end }}
{{- if $writers.events.enabled }}
# Events on scaling objects, and those that were written before.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: {{ $writers.dryRun | ternary "[list]" "[create, list]" }}
{{- end }}
{{- end }}

{{- define "azp-scaler.checkWriters" -}}
{{- $writers := .Values.writers -}}
{{- $on := list -}}
{{- if $writers.busyMarks.enabled }}{{ $on = append $on "writers.busyMarks.enabled" }}{{ end -}}
{{- if $writers.directScaleUp.enabled }}{{ $on = append $on "writers.directScaleUp.enabled" }}{{ end -}}
{{- if $writers.placeholders.enabled }}{{ $on = append $on "writers.placeholders.enabled" }}{{ end -}}
{{- if $writers.reaper.enabled }}{{ $on = append $on "writers.reaper.enabled" }}{{ end -}}
{{- if and (or $writers.placeholders.enabled $writers.reaper.enabled) (not .Values.clusterName) }}{{ fail (printf "%s set, but clusterName is not, so that nothing tells what is this cluster's from what is another one's in the same agent pool; set clusterName, here and in the agents' chart" (printf "%s %s" (last $on) "is")) }}{{ end -}}
{{- if $writers.events.enabled }}{{ $on = append $on "writers.events.enabled" }}{{ end -}}
{{- if and $on (eq .Values.watch.mode "off") }}{{ fail (printf "%s set, but watch.mode is off, so that there is no way to the cluster; set watch.mode to auto or required, or turn the writers off" (printf "%s %s" (join " and " $on) (gt (len $on) 1 | ternary "are" "is"))) }}{{ end -}}
{{- if and $writers.dryRun (not $on) }}{{ fail "writers.dryRun is set, but no writer is on, so that there is nothing to try; set writers.busyMarks.enabled or that of another writer, or writers.dryRun to false" }}{{ end -}}
{{- end }}
