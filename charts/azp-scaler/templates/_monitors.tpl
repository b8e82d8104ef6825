{{/* What the two monitors share: `root`, `of` (the values), `relabelings`. */}}
{{- define "azp-scaler.endpoint" -}}
port: http
path: /metrics
# `namespace` of azp_scaling_object_… is the scaling object's.
honorLabels: true
{{- with .of.interval }}
interval: {{ . }}
{{- end }}
{{- with .of.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
relabelings:
- targetLabel: job
  replacement: {{ include "azp-scaler.job" .root }}
{{- with .of.relabelings }}
{{ toYaml . }}
{{- end }}
{{- with .of.metricRelabelings }}
metricRelabelings:
{{ toYaml . }}
{{- end }}
{{- end }}
