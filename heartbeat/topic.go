package heartbeat

import (
	"fmt"
	"strings"
)

// TopicPrefix begins the topics of all heartbeats; the name of the publisher
// follows.
const TopicPrefix = "$bus.heartbeat."

// MaxName is the greatest length of a publisher's name in bytes.
const MaxName = 100

// Topic returns the topic on which the publisher of that name sends its beats.
func Topic(name string) string { return TopicPrefix + name }

// NameOf returns the name of the publisher whose beats are sent on topic, and
// whether topic is one of a valid name.
func NameOf(topic string) (string, bool) {
	name, ok := strings.CutPrefix(topic, TopicPrefix)
	if !ok || ValidateName(name) != nil {
		return "", false
	}
	return name, true
}

// ValidateName returns nil if name can be a publisher's: 1 to [MaxName] letters,
// digits, '-' and '_' of ASCII. Its error wraps [ErrInvalid].
func ValidateName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("%w name of %d bytes: use 1 to %d letters, digits, '-' and '_'", ErrInvalid, len(name), MaxName)
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return fmt.Errorf("%w name %q: byte %d is %q, use letters, digits, '-' and '_'", ErrInvalid, name, i, c)
		}
	}
	return nil
}
