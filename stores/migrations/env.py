"""Run by Alembic: takes the connection that `stores.schema` has opened. All steps of a call are one transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
