//go:build heralddebug

package block

// Built with -tags heralddebug, recycled blocks are always overwritten: whoever keeps
// the bytes of a borrowed message too long sees garbage in tests.
func init() { Poison(true) }
