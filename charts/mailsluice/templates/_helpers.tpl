{{/* The name of the operator's objects: the release's, with the chart's where it does not say it already. */}}
{{- define "mailsluice.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains "mailsluice" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-mailsluice" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the operator's pod. */}}
{{- define "mailsluice.selector" -}}
app.kubernetes.io/name: mailsluice-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of every object of the chart. */}}
{{- define "mailsluice.labels" -}}
{{ include "mailsluice.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mailsluice
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
The annotations of an object, from a list of the root and of its own annotations, which win over those of all objects;
nothing where there are none.
*/}}
{{- define "mailsluice.annotations" -}}
{{- $root := index . 0 -}}
{{- with merge (dict) (index . 1) $root.Values.commonAnnotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Stops where an object of the Prometheus Operator is wanted, from a list of the root and the value that wants it, and the cluster does not know it. */}}
{{- define "mailsluice.needPrometheusOperator" -}}
{{- $root := index . 0 -}}
{{- if not ($root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
{{- $advice := "%s: the cluster does not know monitoring.coreos.com/v1. Install the Prometheus Operator first or, where no cluster is asked (helm template), add --api-versions monitoring.coreos.com/v1" -}}
{{- fail (printf $advice (index . 1)) -}}
{{- end -}}
{{- end -}}

{{/* An image, from a list of the root, the value and the value's name. */}}
{{- define "mailsluice.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $name := index . 2 -}}
{{- $advice := "set %s.image.repository: build the image from images/%s.Containerfile and push it to your registry" -}}
{{- $repository := $image.repository | required (printf $advice $name $name) -}}
{{- printf "%s:%s" $repository (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}

{{/* The name of the Secret with the Monitor key. */}}
{{- define "mailsluice.monitorKeySecret" -}}
{{- default (printf "%s-monitor-key" (include "mailsluice.name" .)) .Values.monitorKey.existingSecret -}}
{{- end -}}

{{/* The name of an object that belongs to no namespace, which no release of another namespace has. */}}
{{- define "mailsluice.clusterWide" -}}
{{- printf "%s.%s" (include "mailsluice.name" .) .Release.Namespace -}}
{{- end -}}

{{/* Selects the pods that ask for a sidecar, where they may be given one; of the cluster's own parts none ever waits for Mailsluice. */}}
{{- define "mailsluice.injected" -}}
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      {{- if .Values.watchNamespace }}
      operator: In
      values: [{{ .Values.watchNamespace }}]
      {{- else }}
      operator: NotIn
      values: [kube-system]
      {{- end }}
objectSelector:
  matchExpressions:
    - key: mailsluice.dev/inject
      operator: Exists
{{- end -}}
