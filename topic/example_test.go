package topic_test

import (
	"fmt"

	"github.com/heraldbus/herald/topic"
)

func ExampleFilter() {
	f := topic.Any(
		topic.Pattern("weather.eu.>"),
		topic.Exact("alerts"),
	).Except(topic.Prefix("weather.eu.test."))
	if err := f.Err(); err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"alerts", "weather.eu.paris", "weather.eu.test.paris", "weather.eu"} {
		fmt.Println(name, f.MatchString(name))
	}
	fmt.Println(f)
	// Output:
	// alerts true
	// weather.eu.paris true
	// weather.eu.test.paris false
	// weather.eu false
	// (alerts or weather.eu.>) except prefix weather.eu.test.
}

func ExampleFilter_Err() {
	f := topic.Any(topic.Pattern("weather..>"), topic.Exact("alerts"), topic.Pattern("stocks.>.nyse"))
	fmt.Println(f.MatchString("alerts"))
	fmt.Println(f.Err())
	// Output:
	// false
	// topic: invalid pattern "weather..>": segment 2 is empty
	// topic: invalid pattern "stocks.>.nyse": segment 2 is >, which can only be the last
}

func ExampleFilter_Cover() {
	f := topic.Any(
		topic.Pattern("weather.*.paris"),
		topic.Prefix("weather.eu"),
		topic.Exact("alerts"),
	)
	fmt.Printf("%q\n", f.Cover())
	// Output:
	// ["alerts" "weather."]
}

func ExampleParse() {
	f, err := topic.Parse("weather.eu.> except weather.eu.test.>")
	fmt.Println(f.MatchString("weather.eu.paris"), f.MatchString("weather.eu.test.paris"), err)

	_, err = topic.Parse("alerts or weather.par*")
	fmt.Println(err)
	_, err = topic.Parse("alerts, weather.>")
	fmt.Println(err)
	// Output:
	// true false <nil>
	// topic: invalid filter: column 11, at "weather.par*": pattern "weather.par*": segment 2 is "par*", but * and > stand for whole segments (use Prefix for a part of one, Exact for a topic that has the character in its name)
	// topic: invalid filter: column 7, at ", weather.>": this character cannot be in a plain word; put double quotes around the whole name, and write operators as "or", "and", "not", "except"
}

func ExampleValidate() {
	fmt.Println(topic.Validate("weather.eu.paris"))
	fmt.Println(topic.Validate("weather..paris"))
	// Output:
	// <nil>
	// topic: invalid name "weather..paris": segment 2 is empty
}

func ExampleRoutes() {
	routes := topic.NewRoutes[string]().
		With(topic.Prefix("weather."), "map").
		With(topic.Exact("alerts"), "siren").
		With(topic.Everything(), "log")
	name := []byte("alerts")
	fmt.Println(routes.Match(name, name, nil))

	routes = routes.Without(func(_ topic.Filter, h string) bool { return h == "log" })
	fmt.Println(routes.Match(name, name, nil), routes.Cover())
	// Output:
	// [siren log]
	// [siren] [alerts weather.]
}

func ExampleTable() {
	routes := topic.NewRoutes[string]().With(topic.Prefix("weather."), "map")
	table := topic.NewTable[string, uint64](0) // the state is the last sequence number
	for seq, name := range []string{"weather.eu", "alerts", "weather.eu"} {
		e := table.Lookup(routes, []byte(name))
		fmt.Println(e.Name, e.Handlers, e.State)
		e.State = uint64(seq) + 1
	}
	// Output:
	// weather.eu [map] 0
	// alerts [] 0
	// weather.eu [map] 1
}
