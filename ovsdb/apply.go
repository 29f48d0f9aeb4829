package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
)

// maxBatch bounds the edits of one transaction, so that ovsdb-server isn't busy
// with a single client for long.
const maxBatch = 500

// Edit is a change of single keys of one row. Keys not named here, other writers' among
// them, stay as they are. A key that is both set and deleted is set.
type Edit struct {
	Table    Table // TableInterface, TablePort, TableBridge or TableOpenvSwitch
	UUID     string
	Set      map[string]string // keys of external_ids
	Delete   []string
	Config   MapEdit // of other_config; not of an Interface
	FailMode *string // of a bridge: "" for none, nil to leave it
}

// MapEdit is a change of single keys of one column.
type MapEdit struct {
	Set    map[string]string
	Delete []string
}

// Apply makes the edits in one transaction: all or, on an error, none of them (more
// than 500 edits go in several transactions, and the ones before the error stay).
// Applying an edit again changes nothing. A row that vanished is no error: its UUID
// is in missing. Host shows the edits as soon as Apply returned without error.
//
// A ctx without deadline gets one of 5 s. After context.DeadlineExceeded and
// ErrNotConnected it is unknown whether the server still made the edits.
func (c *Client) Apply(ctx context.Context, edits []Edit) (missing []string, err error) {
	ctx, cancel := withDeadline(ctx, applyTimeout)
	defer cancel()
	for batch := range slices.Chunk(edits, maxBatch) {
		gone, err := c.applyBatch(ctx, batch)
		missing = append(missing, gone...)
		if err != nil {
			return missing, fmt.Errorf("write %d rows: %w", len(batch), err)
		}
	}
	return missing, nil
}

func (c *Client) applyBatch(ctx context.Context, edits []Edit) (missing []string, err error) {
	ops := make([]libovsdb.Operation, 0, len(edits)+1)
	for _, e := range edits {
		op, err := e.operation()
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	for _, e := range edits { // behind the others, whose results are looked at by index
		if e.FailMode != nil {
			ops = append(ops, e.setFailMode())
		}
	}
	comment := fmt.Sprintf("vifguard: edit of %d rows", len(edits))
	ops = append(ops, libovsdb.Operation{Op: libovsdb.OperationComment, Comment: &comment})
	results, err := call(ctx, c, func(ctx context.Context) ([]libovsdb.OperationResult, error) {
		return c.lib.Transact(ctx, ops...)
	})
	if err != nil {
		return nil, err
	}
	if failed, err := libovsdb.CheckOperationResults(results, ops); err != nil {
		for _, f := range failed {
			err = errors.Join(err, f)
		}
		return nil, err
	}
	for i, e := range edits {
		if results[i].Count == 0 {
			missing = append(missing, e.UUID)
			continue
		}
		// The event may come later than the reply. It is also what fires Changed,
		// if the edit did change something.
		c.markUUID(e.Table, e.UUID)
	}
	return missing, nil
}

// operation returns the edit as one mutate operation.
func (e Edit) operation() (libovsdb.Operation, error) {
	config := len(e.Config.Set)+len(e.Config.Delete) > 0
	switch e.Table {
	case TableInterface, TablePort, TableBridge, TableOpenvSwitch:
	default:
		return libovsdb.Operation{}, fmt.Errorf("edit of row %s: table %q has no keys to edit", e.UUID, e.Table)
	}
	if !libovsdb.IsValidUUID(e.UUID) {
		return libovsdb.Operation{}, fmt.Errorf("edit of a row in table %s: %q is no UUID", e.Table, e.UUID)
	}
	if e.FailMode != nil && e.Table != TableBridge {
		return libovsdb.Operation{}, fmt.Errorf("edit of row %s: table %s has no fail_mode", e.UUID, e.Table)
	}
	if config && e.Table == TableInterface {
		return libovsdb.Operation{}, fmt.Errorf("edit of row %s: other_config of table %s isn't vifguard's", e.UUID, e.Table)
	}
	op := libovsdb.Operation{
		Op: libovsdb.OperationMutate, Table: string(e.Table), Where: e.where(),
		Mutations: MapEdit{e.Set, e.Delete}.mutations("external_ids"),
	}
	if config {
		op.Mutations = append(op.Mutations, e.Config.mutations("other_config")...)
	}
	return op, nil
}

// mutations deletes each key before it inserts one, since an insert doesn't overwrite.
func (m MapEdit) mutations(column string) []libovsdb.Mutation {
	keys := slices.AppendSeq(slices.Clone(m.Delete), maps.Keys(m.Set))
	slices.Sort(keys)
	remove := libovsdb.OvsSet{GoSet: []any{}}
	for _, k := range slices.Compact(keys) {
		remove.GoSet = append(remove.GoSet, k)
	}
	insert := libovsdb.OvsMap{GoMap: make(map[any]any, len(m.Set))}
	for k, v := range m.Set {
		insert.GoMap[k] = v
	}
	return []libovsdb.Mutation{
		*libovsdb.NewMutation(column, libovsdb.MutateOperationDelete, remove),
		*libovsdb.NewMutation(column, libovsdb.MutateOperationInsert, insert),
	}
}

func (e Edit) where() []libovsdb.Condition {
	return []libovsdb.Condition{libovsdb.NewCondition("_uuid", libovsdb.ConditionEqual, libovsdb.UUID{GoUUID: e.UUID})}
}

func (e Edit) setFailMode() libovsdb.Operation {
	mode := libovsdb.OvsSet{GoSet: []any{}}
	if *e.FailMode != "" {
		mode.GoSet = append(mode.GoSet, *e.FailMode)
	}
	return libovsdb.Operation{
		Op: libovsdb.OperationUpdate, Table: string(e.Table), Where: e.where(),
		Row: libovsdb.Row{"fail_mode": mode},
	}
}
