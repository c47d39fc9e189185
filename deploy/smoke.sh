#!/usr/bin/env bash
# Shows the containers on a real Docker engine: builds the images, starts everything, uses it, lets the schedule run a small night
# under traffic, makes a backup, destroys the volumes, restores, and compares. docs/smoke.md says how, and has a log.
#
#   deploy/smoke.sh [--env FILE] [--without SERVICE,...] [--work FOLDER] [--keep]
#
#   --env FILE      lines for .env: BASE_IMAGE, the package index, images of others under other names
#   --without       services to leave out, for example grafana,loki,alloy; what they would show is said not to be shown
#   --work FOLDER   where it works; default: a new folder for temporary files
#   --keep          leave everything running at the end
#
# It works on a copy of the checkout, with a project name, ports and an .env of its own, so what else runs here stays as it is. Its
# containers, volumes and copy are removed at the end; its images stay. One line per step on standard output; 1 at a failure,
# with the logs of what is not healthy.
set -euo pipefail
cd "$(dirname "$0")/.."

environment="" without="" work="" keep=""
while [ $# -gt 0 ]; do
  case $1 in
    --env) environment=$(realpath "$2"); shift ;;
    --without) without=$2; shift ;;
    --work) work=$2; shift ;;
    --keep) keep=yes ;;
    *) sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
  shift
done
work=${work:-$(mktemp -d -t aura-smoke.XXXXXX)}
mkdir -p "$work/state" "$work/backup"
log=$work/commands.log
: > "$log"
if docker compose version > /dev/null 2>&1; then COMPOSE="docker compose"; else COMPOSE=docker-compose; fi
export COMPOSE

say() { printf '%(%H:%M:%S)T  %s\n' -1 "$*"; }
fail() { say "FAILED: $*"; exit 1; }
compose() { (cd "$work/checkout" && $COMPOSE "$@"); }
compose_script() { (cd "$work/checkout" && "deploy/compose/$1" "$work/backup"); }
setting() { sed -n "s/^$1=//p" "$work/checkout/.env" | tail -n 1; }
left_out() { case ",$without," in *",$1,"*) return 0 ;; *) return 1 ;; esac; }

# quietly WHAT COMMAND...: run a command; what it prints goes into the log, and is shown when it fails.
quietly() {
  local what=$1 began=$SECONDS from
  shift
  from=$(($(wc -l < "$log") + 1))
  if ! "$@" >> "$log" 2>&1; then
    tail -n "+$from" "$log" | tail -n 60
    fail "$what"
  fi
  say "$what ($((SECONDS - began)) s)"
}

# client STEP: one step of deploy/smoke/client.py, in Aura's image on this machine's network.
client() {
  local answer
  if ! answer=$(docker run --rm --network host --user "$(id -u):$(id -g)" --volume "$work/state:/state" \
    --env AURA_SMOKE_URL="https://localhost:$(setting HTTPS_PORT)" --env AURA_SMOKE_WITHOUT="$without" \
    --env AURA_SMOKE_PROMETHEUS="http://127.0.0.1:$(setting PROMETHEUS_PORT)" \
    --env AURA_SMOKE_GRAFANA="http://127.0.0.1:$(setting GRAFANA_PORT)" --env GRAFANA_PASSWORD="$(setting GRAFANA_PASSWORD)" \
    "$(setting AURA_IMAGE)" python deploy/smoke/client.py "$1" 2>&1); then
    echo "$answer"
    fail "the step '$1' of deploy/smoke/client.py"
  fi
  while IFS= read -r line; do say "$line"; done <<< "$answer"
}

# state SERVICE: `healthy`, `running` of one without a check, `done` of one that has ended well, or what else it is.
state() {
  local id
  id=$(compose ps --all --quiet "$1" 2> /dev/null || compose ps --quiet "$1")
  [ -n "$id" ] || { echo missing; return; }
  docker inspect --format '{{if eq .State.Status "exited"}}{{if eq .State.ExitCode 0}}done{{else}}exited {{.State.ExitCode}}{{end}}{{else if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$id"
}

# healthy SECONDS SERVICE...: wait until all of them are.
healthy() {
  local limit=$((SECONDS + $1)) service found
  shift
  for service in "$@"; do
    while found=$(state "$service") && [[ $found != healthy && $found != "done" ]]; do
      [ $SECONDS -lt $limit ] || fail "$service is $found"
      sleep 2
    done
  done
}

unhealthy_logs() {
  local service
  for service in "${services[@]}"; do
    case $(state "$service") in
      healthy | done) ;;
      *) echo "---- $service: $(state "$service") ----"; compose logs --tail 40 "$service" 2>&1 | tail -n 40 ;;
    esac
  done
}

services=()
cleanup() {
  local code=$?
  trap - EXIT
  [ $code = 0 ] || unhealthy_logs || true
  if [ -n "$keep" ]; then
    say "left as it is: $COMPOSE in $work/checkout"
    exit $code
  fi
  if [ -f "$work/checkout/.env" ]; then
    compose down --volumes --remove-orphans >> "$log" 2>&1 || say "containers and volumes are not all removed: see $log"
    # What containers wrote is theirs.
    docker run --rm --user 0 --volume "$work:/smoke" "$(setting AURA_IMAGE)" rm -rf /smoke/backup 2> /dev/null || true
  fi
  [ $code != 0 ] || rm -rf "$work"
  exit $code
}
trap cleanup EXIT

say "Docker $(docker version --format '{{.Server.Version}}'), $($COMPOSE version --short), $(nproc) processors, $(git describe --always --dirty)"

# ---- A checkout, secrets, ports and a project of its own ----
mkdir "$work/checkout"
git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from - | tar --extract --directory "$work/checkout"
secret() { head -c 32 /dev/urandom | od -An -v -t x1 | tr -d ' \n'; }
{
  printf '%s\n' COMPOSE_PROJECT_NAME=aura_smoke AURA_IMAGE=aura-smoke:local GATEWAY_IMAGE=aura-smoke-gateway:local
  printf '%s\n' HTTP_PORT=18080 HTTPS_PORT=18443 PROMETHEUS_PORT=19090 GRAFANA_PORT=13000
  for name in POSTGRES_PASSWORD GRAFANA_PASSWORD JWT_SECRET_KEY RESTIC_PASSWORD; do printf '%s=%s\n' $name "$(secret)"; done
  cat deploy/smoke/night.env
  [ -z "$environment" ] || cat "$environment"
} > "$work/checkout/.env"
secret > "$work/state/password"
chmod 777 "$work/backup" # user 10001 of the containers writes there
for service in $(compose config --services); do left_out "$service" || services+=("$service"); done
[ -z "$without" ] || say "left out: $without"
model_services=(visual_analysis_service outfit_recommendation_service conversational_ai_service)
others=()
for service in "${services[@]}"; do
  case " ${model_services[*]} " in *" $service "*) ;; *) others+=("$service") ;; esac
done
project=$(setting COMPOSE_PROJECT_NAME)

take_certificate() { compose exec -T gateway cat /var/lib/aura/gateway/tls/certificate.pem > "$work/state/certificate.pem"; }

# ---- Build, start, first night ----
quietly "built the images from $(setting BASE_IMAGE)" compose build configuration gateway
quietly "started" compose up -d "${services[@]}"
healthy 600 "${others[@]}"
say "healthy: ${others[*]}"
take_certificate
client sign_up
quietly "the first night" compose exec -T prefect_worker aura nightly
healthy 600 "${services[@]}"
say "healthy with the first champions, without a restart: ${model_services[*]}"
client health

# ---- A person, an operator ----
compose exec -T prefect_worker cat /var/lib/aura/reports/sample/example.jpg > "$work/state/photo.jpg"
client use
quietly "made the account an administrator" compose exec -T accounts_service aura accounts role ada@example.org admin
client pages
if left_out prometheus; then say "NOT SHOWN: metrics, as prometheus is left out"; else client metrics; fi
if left_out grafana; then say "NOT SHOWN: a dashboard, as grafana is left out"; else client dashboards; fi

# ---- A night on schedule, under traffic ----
printf '%s\n' AURA_DATA__SAMPLE__CATALOG_ITEMS=60 >> "$work/checkout/.env"
quietly "gave the nights other data" compose up -d --no-deps prefect_worker
healthy 120 prefect_worker
client night

# ---- Backup, loss of everything, restore ----
client remember
quietly "made a backup" compose_script backup.sh
say "backup: $(du -sh "$work/backup" | cut -f 1): $(cd "$work/backup" && echo *)"
quietly "removed all containers and volumes" compose down --volumes
volumes=$(docker volume ls --quiet --filter "label=com.docker.compose.project=$project")
[ -z "$volumes" ] || fail "volumes are left: $volumes"
quietly "restored" compose_script restore.sh
quietly "started again" compose up -d "${services[@]}"
healthy 600 "${services[@]}"
say "healthy: ${services[*]}"
take_certificate
client health
client compare
say "everything was as it must be"
