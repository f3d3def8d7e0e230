module example.com/conn

go 1.23

// The lowest version that the tests can use and that requires no yaml.v3 with a known vulnerability: whoever imports conn
// gets it at least.
require github.com/stretchr/testify v1.7.2

require (
	github.com/davecgh/go-spew v1.1.0 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)
