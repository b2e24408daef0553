package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
)

// The names under which the sagas are reached. They stand in histories and in clients' code, so they never change.
const (
	// TaskQueue is where workers poll for the sagas and their activities.
	TaskQueue = "amends"

	// TypePlaceOrder and TypeReturnOrder are the workflow types.
	TypePlaceOrder  = "PlaceOrder"
	TypeReturnOrder = "ReturnOrder"
	// TypeRecoverSaga undoes one saga that was ended from outside, TypeSweepSagas finds them.
	TypeRecoverSaga = "RecoverSaga"
	TypeSweepSagas  = "SweepSagas"

	// TypeActOnSagas does the same to many sagas.
	TypeActOnSagas = "ActOnSagas"

	// TypeAuditBooks asks whether the step services' books balance.
	TypeAuditBooks = "AuditBooks"

	// SweepScheduleID is the schedule that runs SweepSagas.
	SweepScheduleID = "sweep-sagas"
	// AuditScheduleID is the schedule that runs AuditBooks.
	AuditScheduleID = "audit-books"

	// UpdateApproval decides an order that waits for a person: argument [Approval], no result. It is rejected with
	// [ErrTypeNotAwaited] when nothing waits for it.
	UpdateApproval = "approval"
	// UpdateGoodsArrived reports that a return's goods are back: argument [Arrival], no result. It is rejected with
	// [ErrTypeNotAwaited] when nothing waits for it.
	UpdateGoodsArrived = "goods-arrived"

	// MemoFingerprint is the memo field with a hash of the request that started the saga.
	MemoFingerprint = "Fingerprint"
	// MemoBatch is the memo field of ActOnSagas with how far it has come, a [Batch]. It can be read while no worker runs.
	MemoBatch = "Batch"
)

// SearchAttributeCustomer is the search attribute, of type Keyword, that names a saga's customer. The starter of the saga
// sets it, to the ID's [order.CustomerKey]: not every character of an ID can be searched for. A guest's saga has no such
// attribute.
var SearchAttributeCustomer = temporal.NewSearchAttributeKeyKeyword("SagaCustomer")

// Search attributes, of type Keyword, that whoever starts a saga sets, and that never change.
var (
	// SearchAttributeTenant tells whose saga it is, SearchAttributeStarter which caller of theirs started it.
	SearchAttributeTenant  = temporal.NewSearchAttributeKeyKeyword("SagaTenant")
	SearchAttributeStarter = temporal.NewSearchAttributeKeyKeyword("SagaStarter")
)

// SearchAttributes are those that a namespace must have for the sagas.
func SearchAttributes() []temporal.SearchAttributeKey {
	return append(compensation.SearchAttributes(), SearchAttributeCustomer, SearchAttributeTenant, SearchAttributeStarter)
}

// Failure types of the sagas' own decisions.
const (
	// ErrTypeNotAwaited rejects an update that nothing waits for.
	ErrTypeNotAwaited = "NotAwaited"
	// ErrTypeRejected ends an order that a person rejected.
	ErrTypeRejected = "Rejected"
	// ErrTypeApprovalTimeout ends an order that nobody decided in time.
	ErrTypeApprovalTimeout = "ApprovalTimeout"
	// ErrTypeTimeLimit refuses a saga with a time limit beyond what Temporal can keep.
	ErrTypeTimeLimit = "TimeLimit"
	// ErrTypeOverpaid ends an order whose voucher and points are worth more than it costs.
	ErrTypeOverpaid = "Overpaid"
	// ErrTypeGoodsOverdue ends a return whose goods did not arrive in time.
	ErrTypeGoodsOverdue = "GoodsOverdue"
)

// Revision is the saga revision that new starts request. A saga keeps the revision it was started with, so that workers
// of any later version replay it:
//
//   - 0 and 1: every step is an ordinary activity.
//   - 2: steps are express (see package compensation), and a saga can have a deadline.
//   - 3: the engine's second revision (see [compensation.Revision]); a guest's order awards no points, and time limits
//     that Temporal cannot keep are refused.
const Revision = 3

// CodeTotalChanged is the refusal code ([compensation.RefusalCode]) of an order whose articles do not cost the total that
// it expects.
const CodeTotalChanged = "total_changed"

// Defaults of the inputs' time limits.
const (
	DefaultApprovalWithin = 24 * time.Hour
	DefaultGoodsWithin    = 14 * 24 * time.Hour
	DefaultSweepLookback  = 7 * 24 * time.Hour
)

// TaskTimeout is the workflow task timeout of the sagas, half of the server's default. Once it is over, a saga whose worker
// died is tried again: orders of a worker that was killed ended 5.7 s later, with the default 10.8 s and with 3 s 4.0 s.
// A live worker keeps a longer task by a heartbeat at four fifths, which costs three events, and only then sees a cancel:
// an order whose steps took 8 s answered one after 4.1 s, but with the default not within the 5 s that the API waits.
// It is not shorter because busy workers lose tasks, too: of 400 orders, 100 at once on two cores at their limit, 37 lost
// theirs with 10 s, 84 with 5 s and 169 with 3 s.
const TaskTimeout = 5 * time.Second

// OrderWorkflowID is the ID of the saga that places the order: an order is placed once.
func OrderWorkflowID(id order.ID) string { return "order-" + string(id) }

// ReturnWorkflowID is the ID of the saga of a return.
func ReturnWorkflowID(id order.ReturnID) string { return "return-" + string(id) }

// RecoveryWorkflowID returns the ID of the workflow that recovers a saga. If it ends without completing, it gets another run.
func RecoveryWorkflowID(sagaID string) string { return "recover-" + sagaID }

// BatchWorkflowID is the ID of the workflow of a batch.
func BatchWorkflowID(id string) string { return "batch-" + id }

// PlaceOrderInput starts PlaceOrder.
type PlaceOrderInput struct {
	// Order is valid by its own Validate.
	Order order.Order `json:"order"`
	// ApprovalWithin is how long an order that fraud screening doubts waits for a person. Default [DefaultApprovalWithin].
	ApprovalWithin time.Duration `json:"approval_within,omitempty"`
	// Deadline is how long the whole saga may take before it turns back or, after its pivot, parks. Default: no deadline.
	Deadline time.Duration `json:"deadline,omitempty"`
	// Revision is [Revision].
	Revision int `json:"revision,omitempty"`
}

// Receipt is what PlaceOrder returns.
type Receipt struct {
	OrderID       order.ID    `json:"order_id"`
	Total         order.Money `json:"total"`
	Paid          order.Money `json:"paid"`
	CaptureID     string      `json:"capture_id"`
	Carrier       string      `json:"carrier"`
	Tracking      string      `json:"tracking"`
	InvoiceNumber string      `json:"invoice_number"`
	PointsAwarded int64       `json:"points_awarded"`
}

// Approval is a person's decision about an order that waits for it.
type Approval struct {
	Approved bool   `json:"approved"`
	By       string `json:"by"`
	Reason   string `json:"reason,omitempty"`
}

// ReturnOrderInput starts ReturnOrder.
type ReturnOrderInput struct {
	// Return is valid by its own Validate.
	Return order.Return `json:"return"`
	// GoodsWithin is how long the goods may take. A reminder goes out after each quarter of it. Default [DefaultGoodsWithin].
	GoodsWithin time.Duration `json:"goods_within,omitempty"`
	// Deadline is how long the whole saga may take before it turns back or, after its pivot, parks. Default: no deadline.
	Deadline time.Duration `json:"deadline,omitempty"`
	// Revision is [Revision].
	Revision int `json:"revision,omitempty"`
}

// Arrival reports that returned goods reached the warehouse.
type Arrival struct {
	Condition order.Condition `json:"condition"`
	By        string          `json:"by"`
}

// RefundReceipt is what ReturnOrder returns.
type RefundReceipt struct {
	ReturnID         order.ReturnID `json:"return_id"`
	OrderID          order.ID       `json:"order_id"`
	Refunded         order.Money    `json:"refunded"`
	RefundID         string         `json:"refund_id"`
	CreditNoteNumber string         `json:"credit_note_number"`
	PointsTakenBack  int64          `json:"points_taken_back"`
}
