module azp-scaler/tools/keda

go 1.26.0

// KEDA's own go.mod replaces this module; a dependant has to say it again.
replace github.com/nexus-rpc/nexus-proto-annotations v0.1.0 => github.com/nexus-rpc/nexus-proto-annotations v0.1.1-0.20260629224316-835bd8d49cb4

require github.com/kedacore/keda/v2 v2.21.0
