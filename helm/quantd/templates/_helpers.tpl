{{/* Names, labels and checks that templates share. */}}

{{- define "quantd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "quantd.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains (include "quantd.name" .) .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "quantd.name" .) | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "quantd.selector" -}}
app.kubernetes.io/name: {{ include "quantd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "quantd.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "quantd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: daemon
app.kubernetes.io/part-of: quantd
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "quantd.image" -}}
{{- $name := .Values.image.repository -}}
{{- with .Values.image.registry -}}{{- $name = printf "%s/%s" . $name -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "quantd.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "quantd.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The daemon's configuration. The paper one is a file and no default value, since helm would merge it into every other. */}}
{{- define "quantd.config" -}}
{{- if .Values.config -}}{{- toYaml .Values.config -}}{{- else -}}{{- .Files.Get "files/paper.yaml" | trim -}}{{- end -}}
{{- end -}}

{{- define "quantd.configMap" -}}
{{- default (include "quantd.fullname" .) .Values.existingConfigMap -}}
{{- end -}}

{{- define "quantd.strategiesConfigMap" -}}
{{- if .Values.existingStrategiesConfigMap -}}
{{- .Values.existingStrategiesConfigMap -}}
{{- else if .Values.strategies -}}
{{- printf "%s-strategies" (include "quantd.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* "live" when a venue of the configuration is armed for real money, else "paper or practice". */}}
{{- define "quantd.mode" -}}
{{- $mode := "paper or practice" -}}
{{- if .Values.existingConfigMap -}}
{{- $mode = "as in the existing ConfigMap" -}}
{{- else -}}
{{- range .Values.config.venues -}}
{{- if or (eq (toString .armed) "live") (eq (toString .environment) "production") -}}{{- $mode = "live" -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $mode -}}
{{- end -}}

{{/* What makes no sense together is refused here; what is wrong in a value by itself, by values.schema.json. */}}
{{- define "quantd.check" -}}
{{- if eq (include "quantd.mode" .) "live" -}}
{{- $account := default dict (dig "risk" "account" dict .Values.config) -}}
{{- range $limit := list "max_gross_notional" "max_daily_loss" "max_open_orders" -}}
{{- if not (and (hasKey $account $limit) (not (kindIs "invalid" (index $account $limit)))) -}}
{{- fail (printf "config.risk.account.%s: found nothing, expected this limit, because a venue moves real money" $limit) -}}
{{- end -}}
{{- end -}}
{{- range $strategy := .Values.config.strategies -}}
{{- if not (has (toString $strategy.stage) (list "canary" "live")) -}}
{{- fail (printf "config.strategies: %s has no stage, expected canary or live, because a venue moves real money" $strategy.id) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $notify := default dict .Values.config.notify -}}
{{- $sections := dict "venues" .Values.config.venues "control.tokens" (dig "control" "tokens" dict .Values.config) -}}
{{- range $kind := list "webhooks" "telegram" "slack" "email" -}}
{{- $_ := set $sections (printf "notify.%s" $kind) (index $notify $kind) -}}
{{- end -}}
{{- $_ := set $sections "notify" (pick $notify "heartbeat") -}}
{{- range $section, $entries := $sections -}}
{{- range $name, $entry := $entries -}}
{{- range $key, $_ := $entry -}}
{{/* Whoever knows the address of a chat or of a monitor can post there. */}}
{{- $isAddress := and (eq $key "url") (has $section (list "notify" "notify.slack")) -}}
{{- if or $isAddress (regexMatch "(^|_)(key|secret|token|password|secret_url)$" $key) -}}
{{- fail (printf "config.%s.%s.%s: found a secret in the values, expected %s_file and an entry under secrets" $section $name $key $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.strategies .Values.existingStrategiesConfigMap -}}
{{- fail "strategies and existingStrategiesConfigMap: found both, expected one of them" -}}
{{- end -}}
{{- end -}}
