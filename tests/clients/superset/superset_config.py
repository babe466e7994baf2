"""Superset without Redis and Celery: all that it keeps is in the folder SUPERSET_HOME."""
import os

SECRET_KEY = "for tests on this machine only, whoever reads this"
SQLALCHEMY_DATABASE_URI = "sqlite:///" + os.path.join(os.environ["SUPERSET_HOME"], "superset.db") + "?check_same_thread=false"
# Each look asks the server.
CACHE_CONFIG = DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
FEATURE_FLAGS = {"ESTIMATE_QUERY_COST": True}
# pg_sleep is wanted; ecpg, which would look at queries before the server does, is not there.
DISALLOWED_SQL_FUNCTIONS = {}
SQL_VALIDATORS_BY_ENGINE = {}
TALISMAN_ENABLED = False
