{{/*
The agent's own container. Its command is the image's, which is azp-agent; what it
is told, it is told by variables and arguments that are made of the profile.
Takes root, name and profile.
*/}}
{{- define "azp-agent.container" -}}
{{- $values := .root.Values -}}
- name: agent
  image: {{ include "azp-agent.image" (dict "root" .root "own" .profile.image) }}
  imagePullPolicy: {{ .profile.image.pullPolicy | default $values.image.pullPolicy }}
  {{- if eq .profile.kind "ScaledJob" }}
  args:
  - --once
  {{- with .profile.idleTimeout }}
  - --idle-timeout={{ . }}
  {{- end }}
  {{- else if .profile.onceLoop }}
  args:
  - --once-loop
  {{- end }}
  env:
    {{- include "azp-agent.signInEnv" .root | nindent 4 }}
    - name: AZP_POOL
      value: {{ include "azp-agent.literal" .profile.pool }}
    {{- with include "azp-agent.capabilities" . }}
    - name: AZP_CAPABILITIES
      value: {{ include "azp-agent.literal" . }}
    {{- end }}
    {{- with .root.Values.clusterName }}
    - name: AZP_CLUSTER_NAME
      value: {{ . | quote }}
    {{- end }}
    - name: AZP_WORK
      value: /azp/agent/_work
    - name: AZP_LEAVE_WITHIN
      value: {{ include "azp-agent.literal" .profile.leaveWithin }}
    - name: AZP_SESSION_CHECK
      value: {{ include "azp-agent.literal" .profile.sessionCheck }}
    - name: AZP_METRICS_LISTEN
      value: "0.0.0.0:{{ int $values.metrics.port }}"
    - name: AZP_LOG
      value: {{ include "azp-agent.literal" .profile.log }}
    - name: AZP_LOG_FORMAT
      value: {{ include "azp-agent.literal" .profile.logFormat }}
    {{- if $values.dockerConfig.mountPath }}
    - name: DOCKER_CONFIG
      value: {{ include "azp-agent.literal" $values.dockerConfig.mountPath }}
    {{- end }}
    {{- with concat $values.extraEnv .profile.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with concat $values.extraEnvFrom .profile.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
  - name: metrics
    containerPort: {{ int $values.metrics.port }}
    protocol: TCP
  lifecycle:
    preStop:
      exec:
        # A signal that comes before it listens would be lost, and the agent take jobs until it is killed.
        command: [/usr/local/bin/azp-agent, probe, started]
  livenessProbe:
    httpGet:
      path: /livez
      port: metrics
    {{- toYaml .profile.probes.liveness | nindent 4 }}
  readinessProbe:
    httpGet:
      path: /readyz
      port: metrics
    {{- toYaml .profile.probes.readiness | nindent 4 }}
  securityContext:
    {{- include "azp-agent.securityContext" . | nindent 4 }}
  {{- with .profile.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    {{- if include "azp-agent.readOnlyRoot" . }}
    - name: azp
      mountPath: /azp
    - name: tmp
      mountPath: /tmp
    {{- end }}
    - name: work
      mountPath: /azp/agent/_work
    {{- if not (include "azp-agent.mountsToken" .) }}
    # The namespace alone, by which azp-agent marks its agents; no token.
    - name: namespace
      mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      readOnly: true
    {{- end }}
    {{- with include "azp-agent.signInMounts" .root }}{{ trim . | nindent 4 }}{{ end }}
    {{- with include "azp-agent.configMounts" .root }}{{ trim . | nindent 4 }}{{ end }}
    {{- with concat $values.extraVolumeMounts .profile.volumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
