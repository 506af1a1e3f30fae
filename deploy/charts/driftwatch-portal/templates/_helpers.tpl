{{- define "driftwatch.name" -}}
{{ printf "%s" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "driftwatch.selector" -}}
app.kubernetes.io/name: driftwatch-portal
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "driftwatch.labels" -}}
{{ include "driftwatch.selector" . }}
app.kubernetes.io/part-of: driftwatch
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "driftwatch.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "driftwatch.streamUrl" -}}
{{ .Values.streamUrl | default (printf "%s/stream" (trimSuffix "/" .Values.publicUrl)) }}
{{- end }}

{{/* One secret setting, from a key of the release's Secret. */}}
{{- define "driftwatch.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.existingSecret }}
      key: {{ .key }}
      {{- if .optional }}
      optional: true
      {{- end }}
{{- end }}

{{/* What every process reads. The gateway has no Django: it gets its two secrets alone. */}}
{{- define "driftwatch.env" -}}
{{ include "driftwatch.secretEnv" (dict "root" .root "name" "SECRET_KEY" "key" "secret-key") }}
{{ include "driftwatch.secretEnv" (dict "root" .root "name" "REDIS_URL" "key" "redis-url") }}
{{- if ne .component "gateway" }}
{{ include "driftwatch.secretEnv" (dict "root" .root "name" "DATABASE_URL" "key" "database-url") }}
{{- if eq .component "migrate" }}
{{ include "driftwatch.secretEnv" (dict "root" .root "name" "MIGRATION_DATABASE_URL" "key" "migration-database-url" "optional" true) }}
{{- end }}
{{- if eq .component "web" }}
{{ include "driftwatch.secretEnv" (dict "root" .root "name" "METRICS_TOKEN" "key" "metrics-token" "optional" true) }}
{{- end }}
{{- if has .component (list "worker" "beat") }}
- name: ALIVE_FILE
  value: /tmp/driftwatch.alive
{{- end }}
- name: PUBLIC_URL
  value: {{ .root.Values.publicUrl | quote }}
- name: STREAM_URL
  value: {{ include "driftwatch.streamUrl" .root | quote }}
{{- if .root.Values.ingress.enabled }}
{{- if not (hasKey .root.Values.settings "TRUSTED_PROXIES") }}
- name: TRUSTED_PROXIES
  value: "1"
{{- end }}
{{- if not (hasKey .root.Values.settings "TRUST_FORWARDED_PROTO") }}
- name: TRUST_FORWARDED_PROTO
  value: "true"
{{- end }}
{{- end }}
{{- range $name, $value := .root.Values.settings }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- if .root.Values.certificateAuthority.configMap }}
- name: SSL_CERT_FILE
  value: /etc/driftwatch/ca/{{ .root.Values.certificateAuthority.key }}
{{- end }}
{{- with .root.Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The pod of one process: component, args, ports, probes. */}}
{{- define "driftwatch.pod" -}}
metadata:
  labels:
    {{- include "driftwatch.labels" . | nindent 4 }}
  {{- with .root.Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .spread }}
  topologySpreadConstraints:
    {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "driftwatch.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile:
      type: RuntimeDefault
  {{- if eq .component "migrate" }}
  restartPolicy: OnFailure
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "driftwatch.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args:
        {{- range .args }}
        - {{ . | quote }}
        {{- end }}
      env:
        {{- include "driftwatch.env" . | nindent 8 }}
      {{- with .root.Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if .port }}
      ports:
        - name: http
          containerPort: {{ .port }}
      # Host: a name that the portal always responds to; the pod's own address is none.
      startupProbe:
        httpGet: &ready
          path: {{ .ready }}
          port: http
          httpHeaders: [{name: Host, value: 127.0.0.1}]
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 60
      readinessProbe:
        httpGet: *ready
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 3
      livenessProbe:
        httpGet:
          path: /healthz
          port: http
          httpHeaders: [{name: Host, value: 127.0.0.1}]
        periodSeconds: 15
        timeoutSeconds: 10
        failureThreshold: 4
      {{- end }}
      {{- if has .component (list "worker" "beat") }}
      # They serve nothing: they touch this file unless their loop hangs. That Redis is away restarts nobody.
      livenessProbe:
        exec:
          command:
            - python
            - -ISc
            - import os, sys, time; sys.exit(time.time() - os.stat("/tmp/driftwatch.alive").st_mtime > 60)
        initialDelaySeconds: 90
        periodSeconds: 30
        timeoutSeconds: 10
        failureThreshold: 3
      {{- end }}
      {{- if .drain }}
      lifecycle:
        preStop:
          exec:
            # Requests arrive until every node has heard that this pod is leaving.
            command: [python, -c, "import time; time.sleep({{ .drain }})"]
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        - name: data
          mountPath: /data
        {{- if .root.Values.certificateAuthority.configMap }}
        - name: ca
          mountPath: /etc/driftwatch/ca
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 1Gi
    - name: data
      emptyDir:
        sizeLimit: 64Mi
    {{- with .root.Values.certificateAuthority.configMap }}
    - name: ca
      configMap:
        name: {{ . }}
    {{- end }}
{{- end }}
