#!/usr/bin/env bash
# Fills new, empty volumes from a folder that backup.sh has written. From the folder of docker-compose.yml, with the .env of then:
#
#   deploy/compose/restore.sh FOLDER [OPTIONS OF aura backup restore] && docker-compose up -d
set -euo pipefail
folder=$(realpath "${1:?name a folder}")
shift
COMPOSE=${COMPOSE:-docker-compose}
$COMPOSE up -d postgres
# Over TCP: the server that runs init.sql listens on its socket alone.
until $COMPOSE exec -T postgres pg_isready --quiet --host 127.0.0.1 --username aura_user; do sleep 1; done
for database in mlflow prefect; do
  $COMPOSE exec -T postgres pg_restore --username aura_user --dbname "$database" --exit-on-error --single-transaction \
    < "$folder/$database.dump"
done
$COMPOSE run --rm --no-deps -T --volume "$folder:/backup:ro" mlflow \
  tar --extract --directory /var/lib/mlflow --file /backup/mlflow.tar
$COMPOSE run --rm --no-deps -T --volume "$folder:/backup" prefect_worker \
  aura backup restore latest --set backup.repository=/backup/aura "$@"
