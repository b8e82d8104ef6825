{{/*
A profile as one Job for each job of Azure Pipelines: KEDA makes them, and no
autoscaler ever takes one away. Takes root, name and profile.
*/}}
{{- define "azp-agent.scaledJob" -}}
{{- $settings := .profile.scaledJob -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata:
  name: {{ include "azp-agent.profileName" . | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- $labels := include "azp-agent.labels" (dict "root" .root "component" "agent" "name" .name) | fromYaml }}
    {{- merge $labels .profile.labels | toYaml | nindent 4 }}
  {{- with include "azp-agent.annotations" (dict "root" .root "annotations" .profile.annotations) }}{{ trim . | nindent 2 }}{{ end }}
spec:
  minReplicaCount: {{ int .profile.min }}
  maxReplicaCount: {{ int .profile.max }}
  pollingInterval: {{ .profile.pollingInterval | default 5 | int }}
  successfulJobsHistoryLimit: {{ int $settings.successfulJobsHistoryLimit }}
  failedJobsHistoryLimit: {{ int $settings.failedJobsHistoryLimit }}
  # With any other, an edit would delete the running Jobs.
  rollout:
    strategy: gradual
  scalingStrategy:
    strategy: {{ $settings.strategy }}
    {{- with $settings.pendingPodConditions }}
    pendingPodConditions:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  jobTargetRef:
    parallelism: 1
    completions: 1
    # A job that was begun is not begun again by Kubernetes.
    backoffLimit: 0
    template:
      {{- include "azp-agent.pod" . | nindent 6 }}
  triggers:
    {{- include "azp-agent.trigger" . | nindent 4 }}
{{- end -}}
