#!/usr/bin/env bash
# Copies everything that containers keep into a folder, while they serve: what `aura backup create` holds, and the two databases and
# the files that are MLflow's and Prefect's. Nights stop meanwhile. From the folder of docker-compose.yml:
#
#   deploy/compose/backup.sh FOLDER [OPTIONS OF aura backup create]
#
# FOLDER is made if it is missing, and must be writable for user 10001. Beside it keep .env and restic's password.
set -euo pipefail
folder=$(realpath -m "${1:?name a folder}")
shift
COMPOSE=${COMPOSE:-docker-compose}
mkdir -p "$folder"
$COMPOSE stop prefect_worker
trap '$COMPOSE start prefect_worker' EXIT
for database in mlflow prefect; do
  $COMPOSE exec -T postgres pg_dump --username aura_user --format custom "$database" > "$folder/$database.dump"
done
$COMPOSE exec -T mlflow tar --create --directory /var/lib/mlflow . > "$folder/mlflow.tar"
$COMPOSE run --rm --no-deps -T --volume "$folder:/backup" prefect_worker \
  aura backup create --set backup.repository=/backup/aura "$@"
