-- Databases of the tools, beside aura_platform. Changes nothing where they are there; the schema of aura_platform is made by the
-- accounts service when it starts.
SELECT 'CREATE DATABASE mlflow' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'mlflow')\gexec
SELECT 'CREATE DATABASE prefect' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'prefect')\gexec
