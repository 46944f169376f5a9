package subtrie_test

import (
	"fmt"

	"github.com/heraldbus/herald/internal/subtrie"
)

func ExampleTrie() {
	var trie subtrie.Trie[string]
	fmt.Println("first:", trie.Add([]byte("weather."), "ann"))
	fmt.Println("first:", trie.Add([]byte("weather."), "bob"))
	trie.Add([]byte("weather.eu"), "bob")
	fmt.Println(trie.MatchString("weather.eu.paris", nil))

	trie.Remove([]byte("weather."), "ann")
	trie.RemoveAll("bob", func(prefix string) { fmt.Println("nobody is left at", prefix) })
	fmt.Println(trie.Len())
	// Output:
	// first: true
	// first: false
	// [ann bob]
	// nobody is left at weather.eu
	// nobody is left at weather.
	// 0
}
