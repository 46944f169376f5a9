package arch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/heraldbus/herald"

// layers are the packages from top to bottom, by their path in the module. One that
// ends in /... stands for all below it. A package imports from lower layers only.
var layers = [][]string{
	{"cmd/...", "examples/...", "bench", "bench/...", "docs", "internal/arch", "internal/faults"},
	{"adapters/..."},
	{"bus/bustest"},
	{"internal/leaktest", "internal/memnet"}, // for tests
	{"bus"},
	{"codec/..."},
	{"topic", "heartbeat", "codec", "internal/engine"},
	{"internal/zmtp", "internal/subtrie", "internal/queue", "internal/pipe"},
	{"internal/block"},
}

// pure are the packages that start no goroutine, open nothing and read no clock.
var pure = []string{
	"topic", "heartbeat", "codec",
	"internal/zmtp", "internal/subtrie", "internal/queue", "internal/block",
}

// engines are the adapters that are faces of internal/engine, and may import it.
var engines = []string{"adapters/reqrep", "adapters/pipeline", "adapters/pair", "adapters/device"}

// needed are the modules that someone who imports only bus has to build.
var needed = []string{
	module,
	"github.com/go-zeromq/zmq4",
	"golang.org/x/sync", // by zmq4
	"golang.org/x/text", // by zmq4
	"github.com/hashicorp/golang-lru/v2",
	"github.com/json-iterator/go",
	"github.com/modern-go/concurrent", // by json-iterator
	"github.com/modern-go/reflect2",   // by json-iterator
}

// pkg is a package as go list describes it.
type pkg struct {
	ImportPath, Dir, Name, Export string
	Imports                       []string
	Module                        *struct{ Path string }
}

// inModule is a package's path in the module.
func inModule(importPath string) (string, bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// list runs go list in the module's root.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Name,Export,Imports,Module"}, args...)...)
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.Bytes())
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// layer is the number of a package's layer, counted from the bottom; -1 when it is
// in none.
func layer(name string) int {
	for i, l := range layers {
		for _, pattern := range l {
			below, ok := strings.CutSuffix(pattern, "...")
			if name == pattern || ok && strings.HasPrefix(name, below) {
				return len(layers) - i
			}
		}
	}
	return -1
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./...") {
		from, _ := inModule(p.ImportPath)
		if layer(from) < 0 {
			t.Errorf("%s is in no layer: say in internal/arch where it belongs", from)
			continue
		}
		for _, path := range p.Imports {
			to, ok := inModule(path)
			if !ok {
				continue
			}
			if layer(to) >= layer(from) {
				t.Errorf("%s imports %s, which is not below it", from, to)
			}
			internal := strings.HasPrefix(to, "internal/")
			switch {
			case to == "internal/memnet" || to == "internal/leaktest":
				if from != "bus/bustest" {
					t.Errorf("%s imports %s, which is for tests", from, to)
				}
			case internal && layer(from) > layer("bus") && !strings.HasPrefix(from, "internal/") && !slices.Contains(engines, from):
				t.Errorf("%s imports %s: what stands on bus uses public packages only", from, to)
			}
		}
	}
}

// forbidden reports what a pure package must not use of another one.
func forbidden(importPath, name string) bool {
	switch importPath {
	case "time":
		return slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}, name)
	case "net":
		// zmq4.Open works on a connection that somebody else has opened.
		return !slices.Contains([]string{"Conn", "Error"}, name)
	}
	switch root, _, _ := strings.Cut(importPath, "/"); root {
	case "os", "syscall", "net", "log":
		return true
	}
	return importPath == "crypto/rand" || importPath == "math/rand" || importPath == "math/rand/v2"
}

func TestPurePackages(t *testing.T) {
	t.Parallel()
	for _, name := range pure {
		files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(name), "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no files, %v", name, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, offence := range offences(t, file) {
				t.Error(offence)
			}
		}
	}
}

// offences lists what makes a file impure, whatever system it is for.
func offences(t *testing.T, file string) (found []string) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	imported := make(map[string]string) // path by name
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imported[name] = p
		// Even without using a name of it.
		if forbidden(p, "") && p != "net" {
			found = append(found, fmt.Sprintf("%s: a pure package imports %s", fset.Position(spec.Pos()), p))
		}
		if name == "." {
			found = append(found, fmt.Sprintf("%s: a dot import hides what is used", fset.Position(spec.Pos())))
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, fmt.Sprintf("%s: a pure package starts a goroutine", fset.Position(n.Pos())))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && imported[x.Name] != "" && forbidden(imported[x.Name], n.Sel.Name) {
				found = append(found, fmt.Sprintf("%s: a pure package uses %s.%s", fset.Position(n.Pos()), x.Name, n.Sel.Name))
			}
		}
		return true
	})
	return found
}

// TestOffences makes sure that the test above finds something.
func TestOffences(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.go")
	const source = `package x

import (
	clock "time"
	"net"
	"os"
)

func f(c net.Conn) clock.Duration {
	go f(c)
	net.Dial("tcp", os.Args[0])
	return clock.Since(clock.Time{})
}
`
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	found := strings.Join(offences(t, file), "\n")
	for _, want := range []string{"x.go:6:2: a pure package imports os", "x.go:10:2: a pure package starts", "x.go:11:2: a pure package uses net.Dial", "x.go:12:9: a pure package uses clock.Since"} {
		if !strings.Contains(found, want) {
			t.Errorf("%q is not found, only\n%s", want, found)
		}
	}
	if n := strings.Count(found, "\n") + 1; n != 5 { // and os.Args
		t.Errorf("%d offences:\n%s", n, found)
	}
}

// No exported identifier of a public package shows a type that its user cannot name.
func TestNoInternalTypesInPublicAPI(t *testing.T) {
	t.Parallel()
	all := list(t, "-export", "-deps", "./bus", "./topic", "./heartbeat", "./codec/...")
	exports := make(map[string]string)
	for _, p := range all {
		exports[p.ImportPath] = p.Export
	}
	imports := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		file, ok := exports[path]
		if !ok || file == "" {
			return nil, &fs.PathError{Op: "import", Path: path, Err: fs.ErrNotExist}
		}
		return os.Open(file)
	})
	checked := 0
	for _, p := range all {
		name, ok := inModule(p.ImportPath)
		if !ok || strings.HasPrefix(name, "internal/") {
			continue
		}
		checked++
		pkg, err := imports.Import(p.ImportPath)
		if err != nil {
			t.Fatal(err)
		}
		for _, leak := range leaks(pkg) {
			t.Error(leak)
		}
	}
	if checked < 4 {
		t.Errorf("only %d public packages were found", checked)
	}
}

// leaks lists the exported identifiers of a package whose types are internal.
func leaks(p *types.Package) []string {
	l := leakFinder{pkg: p, seen: make(map[types.Type]bool)}
	for _, name := range p.Scope().Names() {
		obj := p.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		l.at(name, obj.Type())
		named, ok := types.Unalias(obj.Type()).(*types.Named)
		if _, isType := obj.(*types.TypeName); !isType || !ok || named.Obj().Pkg() != p {
			continue
		}
		for i := range named.TypeParams().Len() {
			l.at(name, named.TypeParams().At(i).Constraint())
		}
		l.at(name, named.Underlying())
		methods := types.NewMethodSet(types.NewPointer(named))
		for m := range methods.Methods() {
			if m.Obj().Exported() {
				l.at(name+"."+m.Obj().Name(), m.Type())
			}
		}
	}
	return l.found
}

type leakFinder struct {
	pkg   *types.Package
	seen  map[types.Type]bool
	found []string
}

// at looks at a type that is seen under a name.
func (l *leakFinder) at(name string, t types.Type) {
	switch t := t.(type) {
	case *types.Alias:
		l.at(name, t.Rhs())
	case *types.Named:
		if p := t.Obj().Pkg(); p != nil && strings.Contains(p.Path()+"/", "/internal/") && strings.HasPrefix(p.Path(), module) {
			l.found = append(l.found, fmt.Sprintf("%s.%s shows %s", l.pkg.Path(), name, t))
		}
		if !t.Obj().Exported() && t.Obj().Pkg() == l.pkg && !l.seen[t] {
			l.seen[t] = true // what it has can be reached though it can't be named
			l.at(name, t.Underlying())
		}
		for i := range t.TypeArgs().Len() {
			l.at(name, t.TypeArgs().At(i))
		}
	case *types.Pointer:
		l.at(name, t.Elem())
	case *types.Slice:
		l.at(name, t.Elem())
	case *types.Array:
		l.at(name, t.Elem())
	case *types.Chan:
		l.at(name, t.Elem())
	case *types.Map:
		l.at(name, t.Key())
		l.at(name, t.Elem())
	case *types.Tuple:
		for v := range t.Variables() {
			l.at(name, v.Type())
		}
	case *types.Signature:
		l.at(name, t.Params())
		l.at(name, t.Results())
		for i := range t.TypeParams().Len() {
			l.at(name, t.TypeParams().At(i).Constraint())
		}
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() || f.Embedded() {
				l.at(name+"."+f.Name(), f.Type())
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			if m.Exported() {
				l.at(name+"."+m.Name(), m.Type())
			}
		}
		for e := range t.EmbeddedTypes() {
			l.at(name, e)
		}
	case *types.Union:
		for term := range t.Terms() {
			l.at(name, term.Type())
		}
	}
}

// TestLeaks makes sure that the test above finds something.
func TestLeaks(t *testing.T) {
	fset := token.NewFileSet()
	check := func(importPath, source string, imports types.Importer) *types.Package {
		t.Helper()
		f, err := parser.ParseFile(fset, importPath, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		p, err := (&types.Config{Importer: imports}).Check(importPath, fset, []*ast.File{f}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	hidden := check(module+"/internal/hidden", "package hidden\ntype T struct{}\nfunc (T) M() {}", nil)
	found := leaks(check(module+"/x", `package x
import "github.com/heraldbus/herald/internal/hidden"
type fine struct { t hidden.T }
func (fine) Method(hidden.T) {}
type A struct { t hidden.T; Field []hidden.T }
type B struct { hidden.T }
type C interface { M() map[string]*hidden.T; m() hidden.T }
type D = hidden.T
type E struct { fine }
type F[T any] struct{}
type G struct{ t hidden.T }
func (G) unexported() hidden.T { panic(0) }
func H() (fine, error) { panic(0) }
func I(func(F[hidden.T])) {}
var J chan hidden.T
const K = 1
`, importerOf{hidden}))
	var names []string
	for _, f := range found {
		name, _, _ := strings.Cut(strings.TrimPrefix(f, module+"/x."), " ")
		names = append(names, name)
	}
	if want := []string{"A.Field", "B.T", "C.M", "D", "E.Method", "I", "J"}; !slices.Equal(names, want) {
		t.Errorf("found %q, want %q", names, want)
	}
}

type importerOf struct{ p *types.Package }

func (i importerOf) Import(string) (*types.Package, error) { return i.p, nil }

// What someone builds who imports only bus is a short list: heavy modules belong to
// the adapter that needs them.
func TestModulesOfBus(t *testing.T) {
	t.Parallel()
	var modules []string
	for _, p := range list(t, "-deps", "./bus") {
		if p.Module != nil && !slices.Contains(modules, p.Module.Path) {
			modules = append(modules, p.Module.Path)
		}
	}
	for _, m := range modules {
		if !slices.Contains(needed, m) {
			t.Errorf("bus depends on %s: leave it to an adapter, or write down why every user has to build it", m)
		}
	}
	if !slices.Contains(modules, module) {
		t.Errorf("go list named no module of ours, only %q", modules)
	}
}
