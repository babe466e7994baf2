// Package check compares what a client got with what PostgreSQL answers, and tells each difference.
package check

import (
	"errors"
	"fmt"
	"os"
	"reflect"
)

var failed bool

// All asks for what is known to fail, too.
var All = os.Getenv("ALL") == "1"

// Fail tells of one statement what went wrong.
func Fail(statement string, format string, arguments ...any) {
	failed = true
	fmt.Fprintf(os.Stderr, "%s: %s\n", statement, fmt.Sprintf(format, arguments...))
}

// OK wants no error.
func OK(statement string, err error) bool {
	if err != nil {
		Fail(statement, "%v", err)
	}
	return err == nil
}

// Equal wants the very value.
func Equal(statement string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		Fail(statement, "got %#v, wanted %#v", got, want)
	}
}

// State wants an error with this SQLSTATE.
func State(statement string, err error, want string) {
	var stated interface{ SQLState() string }
	if !errors.As(err, &stated) {
		Fail(statement, "got %v, wanted %s", err, want)
	} else if stated.SQLState() != want {
		Fail(statement, "got %s (%v), wanted %s", stated.SQLState(), err, want)
	}
}

// Done ends the program.
func Done() {
	if failed {
		os.Exit(1)
	}
}
