"""What Django's suite is run with: two servers as its databases `default` and `other`, a limit for each test, results in a file."""
import json
import os
import signal
import sys
import unittest
import warnings

from django.test.runner import DiscoverRunner

LIMIT = 180
# The suite makes errors of warnings. This one is about a server without a database `postgres`.
warnings.filterwarnings("ignore", "Normally Django will use a connection to the 'postgres' database")


def database(port):
    # With --keepdb, a test database that is there is not created. The migrations of db_functions make only an extension.
    return {"ENGINE": "django.db.backends.postgresql", "HOST": os.environ["PGHOST"], "PORT": port, "USER": os.environ["PGUSER"],
            "PASSWORD": os.environ["PGPASSWORD"], "NAME": os.environ["PGDATABASE"],
            "TEST": {"NAME": os.environ["PGDATABASE"], "MIGRATE": "db_functions" not in sys.argv}}


DATABASES = {"default": database(os.environ["PGPORT"]), "other": database(os.environ["OTHER_PGPORT"])}
SECRET_KEY = "not secret"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "settings.Runner"


def late(*_):
    raise TimeoutError(f"after {LIMIT} seconds")


class Result(unittest.TextTestResult):
    def note(self, state, test, text=""):
        with open(os.environ["TEST_RESULTS"], "a") as file:
            print(json.dumps([state, test.id(), text]), file=file)

    def startTest(self, test):
        signal.alarm(LIMIT)
        super().startTest(test)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.note("passed", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.note("failed", test, self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note("failed", test, self.failures[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.note("failed", test, self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note("skipped", test, reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.note("passed", test)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note("failed", test, "unexpected success")


class Runner(DiscoverRunner):
    def get_resultclass(self):
        return Result

    def setup_test_environment(self, **kwargs):
        super().setup_test_environment(**kwargs)
        signal.signal(signal.SIGALRM, late)
