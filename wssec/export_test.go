package wssec

// What the tests, which stand outside because the stand-in that they share imports this package, see of the inside.
const (
	DSig     = dsig
	DSigMore = dsigMore
)

var IsSecurity = isSecurity
