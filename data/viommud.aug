(* /etc/viommu/viommud.conf *)

module Viommud =
   autoload xfm

   let eol       = del /[ \t]*\n/ "\n"
   let value_sep = del /[ \t]*=[ \t]*/ " = "
   let indent    = del /[ \t]*/ ""

   let str_val = del /\"/ "\"" . store /[^\"\n]*/ . del /\"/ "\""
   let int_val = store /[0-9]+/

   let str_entry (kw:string) = [ key kw . value_sep . str_val ]
   let int_entry (kw:string) = [ key kw . value_sep . int_val ]

   (* In the order of the file. *)
   let entry = str_entry "policy"
             | str_entry "registers"
             | str_entry "libvirt_sock"
             | str_entry "libvirt_sock_ro"
             | str_entry "unix_sock_dir"
             | str_entry "unix_sock_group"
             | str_entry "unix_sock_rw_perms"
             | str_entry "unix_sock_ro_perms"
             | int_entry "max_clients"
             | int_entry "max_clients_per_user"
             | int_entry "drain_timeout"
             | int_entry "query_timeout"

   let comment = [ label "#comment" . del /#[ \t]*/ "# " . store /([^ \t\n][^\n]*)?/ . del /\n/ "\n" ]
   let empty = [ label "#empty" . eol ]
   let record = indent . entry . eol

   let lns = ( record | comment | empty ) *

   let filter = incl "/etc/viommu/viommud.conf"
              . Util.stdexcl

   let xfm = transform lns filter
