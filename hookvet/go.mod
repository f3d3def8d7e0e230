module example.com/conn/hookvet

go 1.24.0

// The oldest versions that work with both supported releases of Go: a module that has hookvet as a tool gets at least
// these. Below v0.38.0, golang.org/x/tools makes vet tools that report nothing to the go vet of Go 1.26.
require (
	github.com/stretchr/testify v1.7.2
	golang.org/x/tools v0.38.0
)

require (
	github.com/davecgh/go-spew v1.1.0 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	golang.org/x/mod v0.29.0 // indirect
	golang.org/x/sync v0.17.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)
