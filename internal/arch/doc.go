// Package arch has no code, only tests of the architecture: that imports point down,
// that pure packages are pure, that no public API shows an internal type, and what
// else has to be built by someone who imports bus.
package arch
