// GORM: AutoMigrate, relations and preloading, upserts, JSON and arrays, soft deletion, transactions, batches, the migrator, and errors.
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"clients/check"

	"github.com/lib/pq"
	"gorm.io/datatypes"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

type Company struct {
	ID   uint
	Name string `gorm:"size:80;uniqueIndex;not null"`
}

type Profile struct {
	ID     uint
	UserID uint `gorm:"uniqueIndex"`
	Bio    *string
}

type Order struct {
	ID     uint
	UserID uint                     `gorm:"index:gg_order_user,priority:1"`
	Total  float64                  `gorm:"type:numeric(10,2);check:gg_total,total >= 0"`
	Lines  datatypes.JSONSlice[int] `gorm:"type:jsonb"`
	At     time.Time                `gorm:"index:gg_order_user,priority:2"`
}

type Tag struct {
	Name string `gorm:"primaryKey"`
}

type User struct {
	gorm.Model
	Name      string `gorm:"comment:who it is"`
	Email     string `gorm:"uniqueIndex:gg_email;size:100"`
	Age       int    `gorm:"default:18"`
	Active    bool   `gorm:"default:true"`
	Version   int64
	Settings  datatypes.JSONMap `gorm:"type:jsonb"`
	Raw       datatypes.JSON
	Words     pq.StringArray `gorm:"type:text[]"`
	Key       datatypes.UUID
	Blob      []byte
	Score     sql.NullFloat64
	Birthday  datatypes.Date
	CompanyID *uint
	Company   *Company
	Profile   Profile `gorm:"constraint:OnDelete:CASCADE"`
	Orders    []Order
	Tags      []Tag `gorm:"many2many:gg_user_tags"`
	BossID    *uint
	Boss      *User
}

func (Company) TableName() string { return "gg_companies" }
func (Profile) TableName() string { return "gg_profiles" }
func (Order) TableName() string   { return "gg_orders" }
func (Tag) TableName() string     { return "gg_tags" }
func (User) TableName() string    { return "gg_users" }

// User2 is the user's table one version on: a column more, one longer, one not null.
type User2 struct {
	ID    uint
	Name  string `gorm:"size:200;not null;default:nobody;index"`
	Email string `gorm:"size:200"`
	Score float32
	Extra string `gorm:"default:more"`
}

func (User2) TableName() string { return "gg_users" }

var tables = []any{&Company{}, &User{}, &Profile{}, &Order{}, &Tag{}}

func names(users []User) string {
	got := []string{}
	for _, user := range users {
		got = append(got, user.Name)
	}
	return strings.Join(got, " ")
}

func migrate(database *gorm.DB) {
	check.OK("AutoMigrate", database.AutoMigrate(tables...))
	check.OK("AutoMigrate again", database.AutoMigrate(tables...))
	migrator := database.Migrator()
	check.Equal("HasTable", []bool{migrator.HasTable(&User{}), migrator.HasTable("gg_user_tags"), migrator.HasTable("gg_missing")}, []bool{true, true, false})
	check.Equal("HasIndex", []bool{migrator.HasIndex(&User{}, "gg_email"), migrator.HasIndex(&Order{}, "gg_order_user"), migrator.HasIndex(&User{}, "gone")}, []bool{true, true, false})
	check.Equal("HasColumn", []bool{migrator.HasColumn(&User{}, "words"), migrator.HasColumn(&User{}, "gone")}, []bool{true, false})
	check.Equal("HasConstraint", []bool{migrator.HasConstraint(&Order{}, "gg_total"), migrator.HasConstraint(&User{}, "Orders"), migrator.HasConstraint(&User{}, "gone")}, []bool{true, true, false})
	list, err := migrator.GetTables()
	check.OK("GetTables", err)
	check.Equal("GetTables", slices.Contains(list, "gg_users") && slices.Contains(list, "gg_user_tags"), true)
	indexes(database)
	kinds, err := migrator.ColumnTypes(&Order{})
	check.OK("ColumnTypes", err)
	got := []string{}
	for _, kind := range kinds {
		full, _ := kind.ColumnType()
		primary, _ := kind.PrimaryKey()
		nullable, _ := kind.Nullable()
		increment, _ := kind.AutoIncrement()
		precision, scale, _ := kind.DecimalSize()
		got = append(got, fmt.Sprint(kind.Name(), " ", kind.DatabaseTypeName(), " ", full, " ", primary, nullable, increment, precision, scale))
	}
	slices.Sort(got)
	check.Equal("ColumnTypes", got, []string{"at timestamptz timestamp with time zone false true false 6 0", "id int8 bigint true false true 64 0", "lines jsonb jsonb false true false 0 0",
		"total numeric numeric(10,2) false true false 10 2", "user_id int8 bigint false true false 64 0"})
}

func indexes(database *gorm.DB) {
	list, err := database.Migrator().GetIndexes(&Order{})
	check.OK("GetIndexes", err)
	got := []string{}
	for _, index := range list {
		primary, _ := index.PrimaryKey()
		unique, _ := index.Unique()
		slices.Sort(index.Columns())
		got = append(got, fmt.Sprint(index.Name(), index.Columns(), primary, unique))
	}
	check.Equal("GetIndexes", got, []string{"gg_order_user[at user_id] false false"})
}

func relations(database *gorm.DB) {
	bio, born := "a bio", time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
	company := Company{Name: "acme"}
	check.OK("create", database.Create(&company).Error)
	users := []User{}
	for number, name := range []string{"ann", "bob", "cid", "dan", "eve"} {
		users = append(users, User{Name: name, Email: name + "@x", Age: 20 + number, CompanyID: &company.ID, Settings: datatypes.JSONMap{"level": number, "deep": map[string]any{"on": number%2 == 0}},
			Raw: datatypes.JSON(`[1, "a"]`), Words: pq.StringArray{name, "it's"}, Key: datatypes.UUID{byte(number)}, Blob: []byte{0, byte(number)}, Birthday: datatypes.Date(born),
			Profile: Profile{Bio: &bio}, Orders: []Order{{Total: float64(number) + 0.5, Lines: datatypes.JSONSlice[int]{number, 2}, At: born}, {Total: 10, At: born.Add(time.Hour)}},
			Tags: []Tag{{Name: "all"}, {Name: fmt.Sprint("t", number%2)}}})
	}
	check.OK("create with relations", database.Create(&users).Error)
	check.OK("append", database.Model(&users[1]).Association("Boss").Append(&users[0]))
	var bob User
	if !check.OK("preload", database.Preload(clause.Associations).Preload("Orders", func(orders *gorm.DB) *gorm.DB { return orders.Order("total DESC") }).Preload("Boss.Orders").First(&bob, "name = ?", "bob").Error) {
		return
	}
	check.Equal("preload", []any{bob.Company.Name, *bob.Profile.Bio, bob.Orders[0].Total, bob.Orders[1].Lines, len(bob.Tags), bob.Boss.Name, len(bob.Boss.Orders)},
		[]any{"acme", "a bio", 10.0, datatypes.JSONSlice[int]{1, 2}, 2, "ann", 2})
	check.Equal("values", []any{bob.Age, bob.Active, fmt.Sprint(bob.Settings), string(bob.Raw), bob.Words, bob.Key, bob.Blob, bob.Score.Valid, time.Time(bob.Birthday).UTC()},
		[]any{21, true, "map[deep:map[on:false] level:1]", `[1, "a"]`, pq.StringArray{"bob", "it's"}, datatypes.UUID{1}, []byte{0, 1}, false, born})
	var found []User
	check.OK("joins", database.Joins("Company").Joins("Profile").Joins("Boss").Where(`"Company".name = ? AND "Boss".name = ?`, "acme", "ann").Find(&found).Error)
	check.Equal("joins", names(found), "bob")
	check.Equal("count", database.Model(&users[0]).Association("Orders").Count(), int64(2))
	check.OK("replace", database.Model(&users[0]).Association("Tags").Replace(&Tag{Name: "all"}, &Tag{Name: "new"}))
	check.OK("clear", database.Model(&users[4]).Association("Tags").Clear())
	for want, query := range map[string]*gorm.DB{
		"cid dan":     database.Order("id").Limit(2).Offset(2),
		"ann cid eve": database.Order("id").Where(datatypes.JSONQuery("settings").Equals(true, "deep", "on")),
		"dan":         database.Where(datatypes.JSONQuery("settings").Equals(3, "level")),
		"eve":         database.Where("? = ANY(words)", "eve"),
		"bob dan":     database.Order("id").Where("EXISTS (?)", database.Table("gg_user_tags").Select("1").Where("user_id = gg_users.id AND tag_name = ?", "t1")),
		"ann eve":     database.Order("name").Where("name IN ?", []string{"ann", "eve"}).Where(database.Where("age > ?", 1).Or("age IS NULL")),
		"dan eve":     database.Order("id").Where("age > (?)", database.Model(&User{}).Select("AVG(age)")),
		"bob cid dan": database.Order("id").Where("age BETWEEN @low AND @high", map[string]any{"low": 21, "high": 23}),
		"ann bob":     database.Order("id").Where("settings->>'level' < ? AND created_at <= ?", "2", time.Now().Add(time.Minute)),
		"eve dan cid": database.Order(clause.OrderByColumn{Column: clause.Column{Name: "age"}, Desc: true}).Limit(3),
	} {
		found = nil
		check.OK(want, query.Find(&found).Error)
		check.Equal(want, names(found), want)
	}
	type sum struct {
		Name  string
		Total float64
		Count int64
	}
	var sums []sum
	check.OK("group", database.Model(&Order{}).Select("u.name, SUM(total) AS total, COUNT(*) AS count").Joins("JOIN gg_users u ON u.id = gg_orders.user_id").Group("u.name").
		Having("SUM(total) > ?", 12).Order("total DESC").Scan(&sums).Error)
	check.Equal("group", sums, []sum{{"eve", 14.5, 2}, {"dan", 13.5, 2}, {"cid", 12.5, 2}})
	var ages []int
	check.OK("pluck", database.Model(&User{}).Distinct().Order("age").Pluck("age", &ages).Error)
	check.Equal("pluck", ages, []int{20, 21, 22, 23, 24})
	seen := 0
	check.OK("in batches", database.FindInBatches(&found, 2, func(*gorm.DB, int) error { seen += len(found); return nil }).Error)
	check.Equal("in batches", seen, 5)
	rows, err := database.Raw("SELECT name, rank() OVER (ORDER BY age DESC) AS place FROM gg_users WHERE age > ?", 22).Rows()
	if check.OK("rows", err) {
		rows.Next()
		var row struct {
			Name  string
			Place int
		}
		check.OK("scan", database.ScanRows(rows, &row))
		check.Equal("rows", fmt.Sprint(row), "{eve 1}")
		rows.Close()
	}
}

func changes(database *gorm.DB) {
	upsert := []Company{{Name: "acme"}, {Name: "other"}}
	check.OK("do nothing", database.Clauses(clause.OnConflict{DoNothing: true}).Create(&upsert).Error)
	company := Company{Name: "acme"}
	check.OK("upsert", database.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "name"}}, DoUpdates: clause.Assignments(map[string]any{"name": gorm.Expr("gg_companies.name || ?", "!")})},
		clause.Returning{}).Create(&company).Error)
	check.Equal("upsert", company, Company{1, "acme!"})
	saved := Tag{Name: "all"}
	check.OK("save", database.Save(&saved).Error)
	var bob User
	check.OK("first or create", database.Where(User{Name: "bob"}).Attrs(User{Age: 1}).FirstOrCreate(&bob).Error)
	check.Equal("first or create", bob.Age, 21)
	// Who comes second with an old version changes nothing.
	for index, want := range []int64{1, 0} {
		result := database.Model(&User{}).Where("id = ? AND version = ?", bob.ID, 0).Updates(map[string]any{"version": gorm.Expr("version + 1"), "age": 50 + index})
		check.OK("version", result.Error)
		check.Equal("version", result.RowsAffected, want)
	}
	changed := []User{}
	check.OK("returning", database.Model(&changed).Clauses(clause.Returning{Columns: []clause.Column{{Name: "name"}, {Name: "age"}}}).Where("name = ?", "bob").Update("age", gorm.Expr("age * ?", 2)).Error)
	check.Equal("returning", []any{len(changed), changed[0].Name, changed[0].Age}, []any{1, "bob", 100})
	check.OK("set in JSON", database.Model(&User{}).Where("name = ?", "bob").UpdateColumn("settings", datatypes.JSONSet("settings").Set("{deep,on}", "set")).Error)
	check.OK("locked", database.Transaction(func(transaction *gorm.DB) error {
		var locked User
		err := transaction.Clauses(clause.Locking{Strength: "UPDATE"}).First(&locked, "name = ?", "bob").Error
		check.Equal("set in JSON", fmt.Sprint(locked.Settings), "map[deep:map[on:set] level:1]")
		locked.Words = append(locked.Words, "more")
		return errors.Join(err, transaction.Save(&locked).Error)
	}))
	check.OK("soft deletion", database.Where("name IN ?", []string{"dan", "eve"}).Delete(&User{}).Error)
	var count, all int64
	database.Model(&User{}).Count(&count)
	database.Unscoped().Model(&User{}).Count(&all)
	check.Equal("soft deletion", []int64{count, all}, []int64{3, 5})
	var orders []Order
	check.OK("delete", database.Clauses(clause.Returning{}).Where("total < ?", 2).Delete(&orders).Error)
	check.Equal("delete", len(orders), 2)
	// Transactions in transactions are savepoints.
	stop := errors.New("stop")
	check.OK("transaction", database.Transaction(func(outer *gorm.DB) error {
		outer.Create(&Tag{Name: "outer"})
		check.Equal("savepoint", outer.Transaction(func(inner *gorm.DB) error { inner.Create(&Tag{Name: "inner"}); return stop }), stop)
		err := outer.Transaction(func(inner *gorm.DB) error { return inner.Create(&Tag{Name: "outer"}).Error })
		check.Equal("duplicate", errors.Is(err, gorm.ErrDuplicatedKey), true)
		return nil
	}))
	var tags []string
	database.Model(&Tag{}).Where("name LIKE ?", "%er").Pluck("name", &tags)
	check.Equal("transaction", tags, []string{"outer"})
	check.Equal("check", errors.Is(database.Create(&Order{UserID: 1, Total: -1}).Error, gorm.ErrCheckConstraintViolated), true)
	check.Equal("not found", database.First(&User{}, "name = ?", "nobody").Error, gorm.ErrRecordNotFound)
	if check.All { // FAILS: foreign keys are not enforced
		check.Equal("foreign key", errors.Is(database.Create(&Order{UserID: 999}).Error, gorm.ErrForeignKeyViolated), true)
		database.Unscoped().Delete(&User{}, "name = ?", "cid")
	}
	many := []Tag{}
	for number := range 1000 {
		many = append(many, Tag{Name: fmt.Sprint("many", number)})
	}
	check.OK("in batches", database.CreateInBatches(many, 300).Error)
}

// The next version of a table: what has changed of its columns is altered.
func alter(database *gorm.DB) {
	migrator := database.Migrator()
	altered(database)
	check.OK("AlterColumn", migrator.AlterColumn(&User2{}, "Email"))
	check.OK("RenameColumn", migrator.RenameColumn(&User2{}, "extra", "further"))
	check.OK("DropColumn", migrator.DropColumn(&User2{}, "further"))
	check.OK("RenameIndex", migrator.RenameIndex(&User{}, "gg_email", "gg_email2"))
	check.OK("DropIndex", migrator.DropIndex(&User{}, "gg_email2"))
	check.OK("DropConstraint", migrator.DropConstraint(&Order{}, "gg_total"))
	check.OK("RenameTable", migrator.RenameTable("gg_tags", "gg_tags2"))
	check.OK("RenameTable", migrator.RenameTable("gg_tags2", "gg_tags"))
	check.OK("CreateView", migrator.CreateView("gg_view", gorm.ViewOption{Replace: true, Query: database.Model(&User{}).Where("age > ?", 1)}))
	check.OK("DropView", migrator.DropView("gg_view"))
	check.Equal("CurrentDatabase", migrator.CurrentDatabase() != "", true)
}

func altered(database *gorm.DB) {
	for range 2 {
		check.OK("AutoMigrate", database.AutoMigrate(&User2{}))
	}
	migrator := database.Migrator()
	kinds, err := migrator.ColumnTypes(&User2{})
	check.OK("ColumnTypes", err)
	got := map[string]string{}
	for _, kind := range kinds {
		full, _ := kind.ColumnType()
		nullable, _ := kind.Nullable()
		standard, _ := kind.DefaultValue()
		comment, _ := kind.Comment()
		got[kind.Name()] = fmt.Sprint(full, " ", nullable, " ", standard, " ", comment)
	}
	check.Equal("ColumnTypes", []string{got["name"], got["email"], got["score"], got["extra"]},
		[]string{"character varying(200) false nobody who it is", "character varying(200) true  ", "numeric true  ", "text true more "})
}

func main() {
	database, err := gorm.Open(postgres.Open("timezone=UTC"), &gorm.Config{TranslateError: true, Logger: logger.Discard})
	if !check.OK("connect", err) {
		check.Done()
	}
	drop := func() {
		check.OK("DropTable", database.Migrator().DropTable("gg_user_tags", &Tag{}, &Order{}, &Profile{}, &User{}, &Company{}))
	}
	drop()
	for _, part := range []func(*gorm.DB){migrate, relations, changes, alter} {
		part(database)
	}
	drop()
	// With statements prepared, and in the simple protocol.
	for name, opened := range map[string]func() (*gorm.DB, error){
		"prepared": func() (*gorm.DB, error) {
			return gorm.Open(postgres.Open("timezone=UTC"), &gorm.Config{PrepareStmt: true, Logger: logger.Discard})
		},
		"simple": func() (*gorm.DB, error) {
			return gorm.Open(postgres.New(postgres.Config{DSN: "timezone=UTC", PreferSimpleProtocol: true}), &gorm.Config{SkipDefaultTransaction: true, Logger: logger.Discard})
		},
	} {
		again, err := opened()
		if !check.OK(name, err) {
			continue
		}
		check.OK(name, again.AutoMigrate(tables...))
		relations(again)
		drop()
	}
	check.Done()
}
