package asl

import (
	"context"
	"crypto/md5"  //nolint:gosec // $hash offers it by name, as AWS does
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/recolabs/gnata"
)

// timeLayout is ISO 8601 as Step Functions and JSONata write it.
const timeLayout = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// maxRange limits the arrays that $range makes, as AWS limits States.ArrayRange.
const maxRange = 1000

// formatMillis borrows the date pictures of $fromMillis for $now.
var formatMillis = mustCompile("$fromMillis($ms, $picture, $zone)")

func mustCompile(source string) *gnata.Expression {
	e, err := gnata.Compile(source)
	if err != nil {
		panic(err)
	}
	return e
}

// functions are the functions that Step Functions adds to JSONata, and those of
// JSONata that would read the clock or chance of this process.
func functions(ctx context.Context, rt Runtime) map[string]any {
	now := rt.Now()
	bound := map[string]any{}
	for name, f := range map[string]gnata.CustomFunc{
		"partition": partition,
		"range":     arrayRange,
		"hash":      hash,
		"parse":     parse,
		"uuid":      func([]any, any) (any, error) { return rt.UUID(), nil },
		"random":    func(args []any, _ any) (any, error) { return random(rt, args) },
		"shuffle":   func(args []any, _ any) (any, error) { return shuffle(rt, args) },
		"millis":    func([]any, any) (any, error) { return float64(now.UnixMilli()), nil },
		"now": func(args []any, _ any) (any, error) {
			if argument(args, 0) == nil {
				return formatTime(now), nil
			}
			return formatMillis.EvalWithVars(ctx, nil, map[string]any{
				"ms": float64(now.UnixMilli()), "picture": args[0], "zone": argument(args, 1),
			})
		},
		"eval": func([]any, any) (any, error) {
			return nil, errors.New("$eval is not available in Step Functions: use $parse")
		},
	} {
		bound[name] = bindable(f)
	}
	return bound
}

// builtinType is the type that a function bound to a variable must have. gnata
// does not export it, and making an environment of all functions for each
// evaluation, which it offers instead, costs more than the evaluation.
var builtinType = func() reflect.Type {
	f, _ := gnata.NewCustomEnv(map[string]gnata.CustomFunc{"parse": parse}).Lookup("parse")
	return reflect.TypeOf(f)
}()

func bindable(f gnata.CustomFunc) any {
	plain := func(args []any, focus any) (any, error) {
		for i, a := range args {
			args[i] = gnata.NormalizeValue(a)
		}
		return f(args, focus)
	}
	return reflect.ValueOf(plain).Convert(builtinType).Interface()
}

func argument(args []any, i int) any {
	if i >= len(args) {
		return nil
	}
	return args[i]
}

// integer reads an argument that must be a whole number JSON can hold exactly.
func integer(args []any, i int, what string) (int, error) {
	n, ok := number(argument(args, i))
	if !ok || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return 0, fmt.Errorf("%s must be an integer", what)
	}
	return int(n), nil
}

// partition cuts an array into arrays of the given size; the last may be
// shorter.
func partition(args []any, _ any) (any, error) {
	if argument(args, 0) == nil {
		return nil, nil
	}
	items, ok := args[0].([]any)
	if !ok {
		items = []any{args[0]}
	}
	size, err := integer(args, 1, "the size given to $partition")
	if err != nil {
		return nil, err
	}
	if size < 1 {
		return nil, errors.New("the size given to $partition must be positive")
	}
	chunks := []any{}
	for len(items) > 0 {
		n := min(size, len(items))
		chunks = append(chunks, items[:n:n])
		items = items[n:]
	}
	return chunks, nil
}

// arrayRange counts from the first to the second number, both included, in
// steps of the third.
func arrayRange(args []any, _ any) (any, error) {
	first, err := integer(args, 0, "the start given to $range")
	if err != nil {
		return nil, err
	}
	last, err := integer(args, 1, "the end given to $range")
	if err != nil {
		return nil, err
	}
	step, err := integer(args, 2, "the step given to $range")
	if err != nil {
		return nil, err
	}
	if step == 0 {
		return nil, errors.New("the step given to $range must not be 0")
	}
	if (last-first)/step >= maxRange {
		return nil, fmt.Errorf("$range must not make more than %d numbers", maxRange)
	}
	numbers := []any{}
	for n := first; step > 0 && n <= last || step < 0 && n >= last; n += step {
		numbers = append(numbers, float64(n))
	}
	return numbers, nil
}

// hash is the digest of a string in hexadecimal.
func hash(args []any, _ any) (any, error) {
	if argument(args, 0) == nil {
		return nil, nil
	}
	text, ok := args[0].(string)
	if !ok {
		return nil, errors.New("$hash hashes a string")
	}
	data := []byte(text)
	var sum []byte
	switch argument(args, 1) {
	case "MD5":
		s := md5.Sum(data) //nolint:gosec // see the import
		sum = s[:]
	case "SHA-1":
		s := sha1.Sum(data) //nolint:gosec // see the import
		sum = s[:]
	case "SHA-256":
		s := sha256.Sum256(data)
		sum = s[:]
	case "SHA-384":
		s := sha512.Sum384(data)
		sum = s[:]
	case "SHA-512":
		s := sha512.Sum512(data)
		sum = s[:]
	default:
		return nil, errors.New("the algorithm given to $hash must be one of MD5, SHA-1, SHA-256, SHA-384, SHA-512")
	}
	return hex.EncodeToString(sum), nil
}

// parse reads JSON from a string, keeping the order of keys.
func parse(args []any, _ any) (any, error) {
	if argument(args, 0) == nil {
		return nil, nil
	}
	text, ok := args[0].(string)
	if !ok {
		return nil, errors.New("$parse parses a string")
	}
	v, err := decodeJSON([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("$parse: %w", err)
	}
	return v, nil
}

// random draws from the runtime, or from a seed, which always draws the same.
func random(rt Runtime, args []any) (any, error) {
	if argument(args, 0) == nil {
		return rt.Random(), nil
	}
	seed, err := integer(args, 0, "the seed given to $random")
	if err != nil {
		return nil, err
	}
	return rand.New(rand.NewPCG(uint64(seed), 0)).Float64(), nil //nolint:gosec // a reproducible draw is what is asked for
}

// shuffle draws from the runtime, where JSONata's own would not be repeatable.
func shuffle(rt Runtime, args []any) (any, error) {
	if argument(args, 0) == nil {
		return nil, nil
	}
	items, ok := args[0].([]any)
	if !ok {
		return []any{args[0]}, nil
	}
	shuffled := append([]any{}, items...)
	for i := len(shuffled) - 1; i > 0; i-- {
		j := int(rt.Random() * float64(i+1))
		shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
	}
	return shuffled, nil
}
