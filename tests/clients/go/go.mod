module mailsluice.dev/tests/client

go 1.24.0
