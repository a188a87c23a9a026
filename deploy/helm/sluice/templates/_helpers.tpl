{{- define "sluice.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sluice.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sluice.labels" -}}
{{ include "sluice.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The configuration file of the server. */}}
{{- define "sluice.config" -}}
listen: ":8080"
drain_timeout: {{ .Values.shutdown.drainSeconds }}s
{{- if eq .Values.engine "disk" }}
data: /data
{{- end }}
{{- if eq .Values.engine "nats" }}
{{- with .Values.nats.urls }}
nats:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .Values.nats.credsKey }}
nats_creds: /run/secrets/nats/{{ .Values.nats.credsKey }}
{{- end }}
{{- end }}
{{- if .Values.auth.signingKeysKey }}
signing_keys: /run/secrets/sluice/{{ .Values.auth.signingKeysKey }}
{{- end }}
{{- with .Values.webhooks }}
{{- if .key }}
webhooks: /run/secrets/sluice/{{ .key }}
{{- end }}
{{- with .allow }}
webhooks_allow:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- if .Values.channels }}
channels: /etc/sluice/channels.json
{{- end }}
{{- with .Values.settings }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The pod, for a Deployment and a StatefulSet. */}}
{{- define "sluice.pod" -}}
metadata:
  annotations:
    # A changed configuration replaces the pods.
    checksum/config: {{ printf "%s%s" (include "sluice.config" .) (toJson .Values.channels) | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "sluice.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "sluice.fullname" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false # their variables begin with the name of the Service, SLUICE_ perhaps
  terminationGracePeriodSeconds: {{ add .Values.shutdown.sleepSeconds .Values.shutdown.drainSeconds 10 }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: sluice
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/sluice/sluice.yaml]
      env:
        - name: SLUICE_API_KEYS_FILE
          value: /run/secrets/sluice/{{ .Values.auth.apiKeysKey }}
        {{- if .Values.auth.signingSecretKey }}
        - name: SLUICE_SIGNING_SECRET_FILE
          value: /run/secrets/sluice/{{ .Values.auth.signingSecretKey }}
        {{- end }}
        {{- if and (eq .Values.engine "nats") (not .Values.nats.urls) }}
        - name: SLUICE_NATS_FILE
          value: /run/secrets/nats/{{ .Values.nats.urlsKey }}
        {{- end }}
        {{- with .Values.goMemLimit }}
        - name: GOMEMLIMIT
          value: {{ . }}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: http
          containerPort: 8080
      # Alive is not ready: a restart does not bring NATS or a disk back, and ends streams.
      startupProbe: # a start reads the journal
        httpGet:
          path: /healthz
          port: http
        periodSeconds: 2
        failureThreshold: 150
      livenessProbe:
        httpGet:
          path: /healthz
          port: http
        periodSeconds: 10
        timeoutSeconds: 5
      readinessProbe:
        httpGet:
          path: /readyz
          port: http
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 1
      {{- if .Values.shutdown.sleepSeconds }}
      lifecycle:
        preStop: # meanwhile the Service forgets the pod, which still serves
          sleep:
            seconds: {{ .Values.shutdown.sleepSeconds }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: config
          mountPath: /etc/sluice
          readOnly: true
        - name: secrets
          mountPath: /run/secrets/sluice
          readOnly: true
        {{- if and (eq .Values.engine "nats") .Values.nats.existingSecret }}
        - name: nats
          mountPath: /run/secrets/nats
          readOnly: true
        {{- end }}
        {{- if eq .Values.engine "disk" }}
        - name: data
          mountPath: /data
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "sluice.fullname" . }}
    - name: secrets
      secret:
        secretName: {{ .Values.auth.existingSecret }}
        defaultMode: 0440
    {{- if and (eq .Values.engine "nats") .Values.nats.existingSecret }}
    - name: nats
      secret:
        secretName: {{ .Values.nats.existingSecret }}
        defaultMode: 0440
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if eq .Values.engine "nats" }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "sluice.selectorLabels" . | nindent 10 }}
  {{- end }}
{{- end -}}
