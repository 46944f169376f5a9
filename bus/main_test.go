package bus_test

import (
	"testing"

	"github.com/heraldbus/herald/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
