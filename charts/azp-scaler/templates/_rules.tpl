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

{{/* A file of rules/ as rules of Prometheus: `root` and `file`. */}}
{{- define "azp-scaler.alerts" -}}
{{- $root := .root -}}
{{- $values := $root.Values.metrics.prometheusRule -}}
{{- $job := printf "job=%q" (include "azp-scaler.job" $root) -}}
{{- $pools := int64 $root.Values.config.maxPools | toString -}}
{{- $rules := list -}}
{{- range $root.Files.Get .file | fromYamlArray -}}
{{- $of := get $values.rules .alert -}}
{{- $tokens := include "azp-scaler.tokens" (dict "root" $root) -}}
{{- if and $of.enabled (or $tokens (ne .alert "AzpTokenEnds")) -}}
{{- $threshold := include "azp-scaler.threshold" (dict "root" $root "alert" .alert "of" $of) -}}
{{- $expr := .expr | replace "TOKENS" $tokens | replace "JOB" $job | replace "THRESHOLD" $threshold | replace "MAX_POOLS" $pools -}}
{{- $labels := mergeOverwrite (deepCopy $values.alertLabels) (dict "job" (include "azp-scaler.job" $root) "severity" $of.severity) -}}
{{- $runbook := printf "%s#%s" $values.runbookUrl (lower .alert) -}}
{{- $annotations := dict "summary" (.summary | replace "MAX_POOLS" $pools) "description" .description "runbook_url" $runbook -}}
{{- $rules = append $rules (dict "alert" .alert "expr" $expr "for" $of.for "labels" $labels "annotations" $annotations) -}}
{{- end -}}
{{- end -}}
{{- with $rules }}{{ toYaml . }}{{ end -}}
{{- end }}
