{{- define "driftwatch.name" -}}
{{ printf "%s" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "driftwatch.selector" -}}
app.kubernetes.io/name: driftwatch-sensor
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "driftwatch.labels" -}}
{{ include "driftwatch.selector" . }}
app.kubernetes.io/part-of: driftwatch
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "driftwatch.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Directories of the runtime, at the same paths as on the node: the mount table names layers by them. */}}
{{- define "driftwatch.directories" -}}
{{- $usual := dict
  "containerd" (list "/run/containerd" "/var/lib/containerd")
  "crio" (list "/run/crio" "/run/containers" "/var/lib/containers")
  "docker" (list "/run/docker" "/run/containerd" "/var/lib/docker")
  "k3s" (list "/run/k3s" "/var/lib/rancher")
  "rke2" (list "/run/k3s" "/var/lib/rancher")
  "k0s" (list "/run/k0s" "/var/lib/k0s")
  "microk8s" (list "/var/snap/microk8s/common") }}
{{- .Values.runtimeDirectories | default (get $usual .Values.runtime) | toJson }}
{{- end }}

{{- define "driftwatch.secret" -}}
{{ .Values.enrolment.existingSecret | default (printf "%s-enrolment" (include "driftwatch.name" .)) }}
{{- end }}

{{/* Environment of both containers. */}}
{{- define "driftwatch.env" -}}
{{- if .Values.certificateAuthority.configMap }}
- name: SSL_CERT_FILE
  value: /etc/driftwatch/ca/{{ .Values.certificateAuthority.key }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "driftwatch.mounts" -}}
- name: state
  mountPath: /var/lib/driftwatch-sensor
{{- if .Values.certificateAuthority.configMap }}
- name: ca
  mountPath: /etc/driftwatch/ca
  readOnly: true
{{- end }}
{{- end }}
