module github.com/amends-dev/amends/deploy

go 1.26.8

require (
	github.com/moby/patternmatcher v0.6.1
	github.com/stretchr/testify v1.12.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/amends-dev/amends => ../
