// Checks histories of record.mjs with porcupine: go run . < histories.ndjson
//
// The model is a log in which an id stands once: learning appends an id that is new, and answers its place; reading answers the length. It also
// plants a fault into each history without calls in doubt, a stale read or the place of another click, and counts how many of these it finds.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type operation struct {
	Client int      `json:"client"`
	Kind   string   `json:"kind"`
	ID     int      `json:"id"`
	Begin  float64  `json:"begin"`
	End    *float64 `json:"end"`
	Seen   *int     `json:"seen"`
}

type input struct {
	kind string
	id   int
}

// A log as the places of ids, and how many there are; ids are below 24, so that a state is comparable.
type state struct {
	places [24]int8
	length int8
}

var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(before, given, answered any) (bool, any) {
		log, call, seen := before.(state), given.(input), answered.(int)
		if call.kind == "read" {
			return seen == int(log.length), log
		}
		if log.places[call.id] == 0 {
			log.length++
			log.places[call.id] = log.length
		}
		// Of a call without an answer nobody knows what it was told.
		return seen == -1 || seen == int(log.places[call.id]), log
	},
}

func operationsOf(history []operation) []porcupine.Operation {
	found := make([]porcupine.Operation, 0, len(history))
	for _, each := range history {
		end, seen := int64(math.MaxInt64), -1
		if each.End != nil {
			end, seen = int64(*each.End*1e6), *each.Seen
		}
		found = append(found, porcupine.Operation{
			ClientId: each.Client, Input: input{each.Kind, each.ID}, Call: int64(each.Begin * 1e6), Output: seen, Return: end,
		})
	}
	return found
}

// Makes the last answer of a kind wrong by one: a stale read, or the place of another click.
func plant(history []operation) ([]operation, bool) {
	planted := append([]operation(nil), history...)
	for i := len(planted) - 1; i >= 0; i-- {
		if planted[i].Seen == nil || *planted[i].Seen < 2 {
			continue
		}
		wrong := *planted[i].Seen - 1
		if planted[i].Kind == "read" {
			// Far behind, so that no order of what ran at the same time explains it.
			wrong = 0
		}
		planted[i].Seen = &wrong
		return planted, true
	}
	return planted, false
}

func main() {
	accepted, refused, unknown, planted, caught := 0, 0, 0, 0, 0
	operations, pending := 0, 0
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<26)
	for lines.Scan() {
		var history []operation
		if err := json.Unmarshal(lines.Bytes(), &history); err != nil {
			panic(err)
		}
		isWhole := true
		for _, each := range history {
			operations++
			if each.End == nil {
				pending++
				isWhole = false
			}
		}
		switch porcupine.CheckOperationsTimeout(model, operationsOf(history), 30*time.Second) {
		case porcupine.Ok:
			accepted++
		case porcupine.Illegal:
			refused++
		default:
			unknown++
		}
		// To refute a history with calls in doubt, every way in which they may have happened has to be tried.
		if wrong, isPlanted := plant(history); isPlanted && isWhole {
			planted++
			if porcupine.CheckOperationsTimeout(model, operationsOf(wrong), 30*time.Second) == porcupine.Illegal {
				caught++
			}
		}
	}
	fmt.Printf("{\"operations\": %d, \"pending\": %d, \"accepted\": %d, \"refused\": %d, \"unknown\": %d, \"planted\": %d, \"caught\": %d}\n",
		operations, pending, accepted, refused, unknown, planted, caught)
	if refused+unknown > 0 || caught < planted {
		os.Exit(1)
	}
}
