{{/* The number that an alert compares with. */}}
{{- define "azp-scaler.threshold" -}}
{{- if and (eq .alert "AzpPoolStale") (eq (.of.threshold | toString) "") -}}
{{- div (include "azp-scaler.milliseconds" .root.Values.config.maxStale | int64) 2000 -}}
{{- else -}}
{{- /* Numbers come as floats, which would print as 1.2096e+06. */ -}}
{{- $number := float64 (.of.threshold | default 0) -}}
{{- eq $number (floor $number) | ternary (int64 $number | toString) (toString $number) -}}
{{- end -}}
{{- end }}

{{/* The dates at which tokens end, each as a series. */}}
{{- define "azp-scaler.tokens" -}}
{{- $series := list -}}
{{- range .root.Values.metrics.prometheusRule.tokens -}}
{{- $ends := toDate "2006-01-02" .ends | unixEpoch -}}
{{- $series = append $series (printf "label_replace(vector(%s), \"credential\", %q, \"\", \"\") - time() < THRESHOLD" $ends .name) -}}
{{- end -}}
{{- join " or " $series -}}
{{- end }}

{{/* Alerts that mean something only with these values, as JSON: empty, and the alert is left out. */}}
{{- define "azp-scaler.meant" -}}
{{- dict "AzpTokenEnds" (include "azp-scaler.tokens" .) "AzpNoLeader" (include "azp-scaler.writers" .root) | toJson -}}
{{- end }}

{{/* A file of rules/ as rules of Prometheus: `root` and `file`. */}}
{{- define "azp-scaler.alerts" -}}
{{- $root := .root -}}
{{- $values := $root.Values.metrics.prometheusRule -}}
{{- $job := printf "job=%q" (include "azp-scaler.job" $root) -}}
{{- $pools := int64 $root.Values.config.maxPools | toString -}}
{{- $meant := include "azp-scaler.meant" . | fromJson -}}
{{- $rules := list -}}
{{- range $root.Files.Get .file | fromYamlArray -}}
{{- $of := get $values.rules .alert -}}
{{- if and $of.enabled (get $meant .alert | default (not (hasKey $meant .alert))) -}}
{{- $threshold := include "azp-scaler.threshold" (dict "root" $root "alert" .alert "of" $of) -}}
{{- $expr := .expr | replace "TOKENS" $meant.AzpTokenEnds | replace "JOB" $job | replace "THRESHOLD" $threshold | replace "MAX_POOLS" $pools -}}
{{- $labels := mergeOverwrite (deepCopy $values.alertLabels) (dict "job" (include "azp-scaler.job" $root) "severity" $of.severity) -}}
{{- $runbook := printf "%s#%s" $values.runbookUrl (lower .alert) -}}
{{- $annotations := dict "summary" (.summary | replace "MAX_POOLS" $pools) "description" .description "runbook_url" $runbook -}}
{{- $rules = append $rules (dict "alert" .alert "expr" $expr "for" $of.for "labels" $labels "annotations" $annotations) -}}
{{- end -}}
{{- end -}}
{{- with $rules }}{{ toYaml . }}{{ end -}}
{{- end }}
